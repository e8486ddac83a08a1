// Puts the kept choice of dark or light on the document before anything is painted.
// A classic script, so that it runs before the style sheets apply; must do nothing else.
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem("skep.theme");
  } catch {
    // No storage here: the system's choice counts.
  }
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
})();
