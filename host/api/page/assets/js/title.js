// The tab's title and icon: the view's name, and how the whole stands. Must not know views or the store.
import { useEffect } from "./lib.js";

let view = "";
let word = "";

const show = () => {
  const text = [word, view, "skep"].filter(Boolean).join(" · ");
  if (document.title !== text) document.title = text;
};

/** A view's own name. */
export function useTitle(name) {
  useEffect(() => {
    view = name;
    show();
    return () => {
      view = "";
    };
  }, [name]);
}

const ICONS = { ok: "ok", warn: "warn", bad: "bad", mute: "wait" };

/** @param {import("./health.js").Health} health */
export function showHealth(health) {
  word = health.level === "ok" ? "" : health.word;
  show();
  const icon = document.getElementById("icon");
  const href = `page/img/icon-${ICONS[health.level]}.svg`;
  if (icon && icon.getAttribute("href") !== href) icon.setAttribute("href", href);
}
