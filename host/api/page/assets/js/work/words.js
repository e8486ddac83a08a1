// Small facts in words that several views share. Pure.

const PER_START = 2 ** 32;

/** An incarnation's number holds the start of the host it counts within; this is its count. */
export const incarnation = (epoch) => (epoch < PER_START ? epoch : epoch % PER_START);

/** "3 since host start 2", as the command line says it. */
export function incarnationWords(epoch) {
  const start = Math.floor(epoch / PER_START);
  return start === 0 ? String(epoch) : `${incarnation(epoch)} since host start ${start}`;
}
