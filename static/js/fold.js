// Opens the folded parts of a page: on a phone those that the reader has opened before or that the address leads to, on
// wider screens all. Without this script they open by a tap, and the style sheet shows all of them on wider screens.
"use strict";
(() => {
  const KEY = "unfolded";
  const phone = matchMedia("(max-width: 767px)");
  const remembered = () => {
    try { return JSON.parse(localStorage.getItem(KEY)) ?? []; } catch { return []; }
  };
  const unfolded = new Set(remembered());

  const apply = () => {
    for (const fold of document.querySelectorAll(".fold")) {
      fold.open = !phone.matches || unfolded.has(fold.id) || fold.querySelector(":target") !== null;
    }
  };
  const remember = (fold, isOpen) => {
    if (!phone.matches) return;
    unfolded[isOpen ? "add" : "delete"](fold.id);
    try { localStorage.setItem(KEY, JSON.stringify([...unfolded])); } catch { /* In private mode this page alone remembers. */ }
  };
  // A click, by a key too, comes before the part opens, and is remembered at once: the event "toggle" comes later, and a
  // refresh of the page in between would close the part again. Only that event tells when a search in the page opens it.
  document.addEventListener("click", ({ target }) => {
    const fold = target.closest?.(".fold > summary")?.parentElement;
    if (fold) remember(fold, !fold.open);
  });
  document.addEventListener("toggle", ({ target }) => { if (target.matches?.(".fold")) remember(target, target.open); }, true);
  document.addEventListener("htmx:after:swap", apply);
  phone.addEventListener("change", apply);
  apply();
})();
