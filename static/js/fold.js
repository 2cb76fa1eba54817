// Opens the folded parts of a page: on a phone those that the reader has opened before, on wider screens all. Without this
// script they open by a tap, and the style sheet shows all of them on wider screens.
"use strict";
(() => {
  const KEY = "unfolded";
  const phone = matchMedia("(max-width: 767px)");
  const remembered = () => {
    try { return JSON.parse(localStorage.getItem(KEY)) ?? []; } catch { return []; }
  };
  const unfolded = new Set(remembered());

  const apply = () => {
    for (const fold of document.querySelectorAll(".fold")) fold.open = !phone.matches || unfolded.has(fold.id);
  };
  document.addEventListener("toggle", ({ target }) => {
    if (!phone.matches || !target.matches?.(".fold")) return;
    unfolded[target.open ? "add" : "delete"](target.id);
    try { localStorage.setItem(KEY, JSON.stringify([...unfolded])); } catch { /* In private mode this page alone remembers. */ }
  }, true);
  document.addEventListener("htmx:after:swap", apply);
  phone.addEventListener("change", apply);
  apply();
})();
