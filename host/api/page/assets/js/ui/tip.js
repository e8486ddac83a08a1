// The one small box that tells what is under the pointer or the keyboard's cursor; read aloud, too. Text only.
// Must not be the only way to a fact: everything it says stands in a table or label as well.

let box = null;

function made() {
  if (box) return box;
  box = document.createElement("div");
  box.className = "tip";
  box.setAttribute("role", "status");
  document.body.append(box);
  addEventListener("scroll", hideTip, { passive: true });
  addEventListener("hashchange", hideTip);
  addEventListener("pointerdown", (event) => event.target.closest?.(".bars") || hideTip());
  addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
  return box;
}

/** Shows `text` centred above (x, y), both of the window; inside it in any case. */
export function showTip(x, y, text) {
  const tip = made();
  if (tip.textContent !== text) tip.textContent = text;
  tip.classList.add("shown");
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.max(8, Math.min(innerWidth - width - 8, x - width / 2));
  const above = y - height - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 4 ? above : y + 28}px`;
}

export function hideTip() {
  if (!box?.classList.contains("shown")) return;
  box.classList.remove("shown");
  box.textContent = "";
}
