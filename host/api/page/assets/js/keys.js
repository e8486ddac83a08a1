// Shortcuts of the whole page: "/" searches, "g" and a letter goes to a view, "?" explains. Nothing while a person types, and
// nothing with Ctrl, Alt or Meta. Must not know what a view does with its own keys (ui/list.js).
import { NAV } from "./routes.js";
import { navigate } from "./router.js";

const CHORD_MS = 1200;

const typing = (target) => target instanceof Element && target.closest("input, textarea, select, [contenteditable]");

/** @param {{ help: () => void }} acts @returns {() => void} ends it */
export function listen({ help }) {
  let chord = 0;
  const onKey = (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || typing(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (chord && event.timeStamp - chord < CHORD_MS) {
      chord = 0;
      const to = NAV.find((entry) => entry.letter === event.key);
      if (to) {
        event.preventDefault();
        navigate("/" + to.at);
      }
      return;
    }
    chord = 0;
    if (event.key === "g") chord = event.timeStamp;
    else if (event.key === "?") help();
    else if (event.key === "/") {
      const box = document.querySelector("[data-search]");
      event.preventDefault();
      if (box) box.focus();
      else navigate("/checks");
    }
  };
  addEventListener("keydown", onKey);
  return () => removeEventListener("keydown", onKey);
}
