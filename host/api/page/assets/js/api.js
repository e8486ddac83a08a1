// Requests to the admin API. Every failure becomes one ApiError with the host's own sentence. Must not show anything.
import { signedOut } from "./live.js";

export { may } from "./store.js";

/** @typedef {{ file: string, line: number, worker: ?string, field: ?string, message: string, hint: ?string }} Problem */

export class ApiError extends Error {
  /** @param {number} status 0 when no answer came */
  constructor(status, message, hint = null, problems = []) {
    super(message);
    this.status = status;
    this.hint = hint;
    /** @type {Problem[]} */
    this.problems = problems;
  }
}

/** One segment of a path. */
export const seg = (text) => encodeURIComponent(text);

/** "?a=1&b=2" of what is neither null nor undefined. */
export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? "?" + new URLSearchParams(given) : "";
}

async function send(method, path, body) {
  const request = { method, headers: { accept: "application/json" }, cache: "no-store" };
  if (typeof body === "string") {
    request.body = body;
    request.headers["content-type"] = "text/plain; charset=utf-8";
  } else if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["content-type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(new URL(path.replace(/^\//, ""), document.baseURI), request);
  } catch {
    throw new ApiError(0, "the host does not answer", "is it running? The page tries again by itself");
  }
  const text = await answer.text();
  const json = (answer.headers.get("content-type") ?? "").includes("json");
  let data = text;
  if (json) {
    try {
      data = text ? JSON.parse(text) : null;
    } catch {
      throw new ApiError(answer.status, "the host's answer broke off");
    }
  }
  if (answer.ok) return data;
  if (answer.status === 401) signedOut();
  const said = json && data ? data : {};
  throw new ApiError(answer.status, said.error ?? `${answer.status} ${answer.statusText}`, said.hint, said.problems ?? []);
}

/** "api/v1/workers", or just "workers". */
const full = (path) => (path.startsWith("/") || path.startsWith("api/") ? path : "api/v1/" + path);

export const get = (path) => send("GET", full(path));
export const post = (path, body) => send("POST", full(path), body);
export const put = (path, body) => send("PUT", full(path), body);
export const del = (path, body) => send("DELETE", full(path), body);

/** Signs in with a token: the host's answer sets a cookie that scripts can't read. Throws an ApiError when it is refused. */
export async function signIn(token) {
  let answer;
  try {
    answer = await fetch(new URL("login", document.baseURI), {
      method: "POST",
      headers: { accept: "application/json" },
      body: new URLSearchParams({ token }),
    });
  } catch {
    throw new ApiError(0, "the host does not answer");
  }
  if (answer.ok) return;
  if (answer.status === 401) throw new ApiError(401, "this token is not known here: it was mistyped, or belongs to another host");
  throw new ApiError(answer.status, `the host answered ${answer.status} ${answer.statusText}`);
}

/** Signs out: the cookie is taken away. */
export async function signOut() {
  await post("/logout");
  signedOut();
}
