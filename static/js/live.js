// Refreshes the results every few seconds while the page is visible and new calls may fall into its range of days.
"use strict";
(() => {
  const EVERY_MS = 5000;
  let paused = false;

  const show = () => {
    const button = document.getElementById("live");
    if (!button) return;
    button.setAttribute("aria-pressed", String(!paused));
    button.querySelector(".live-text").textContent = paused ? "Paused" : "Live";
  };
  // No refresh happens while a pointer is pressed, because it may be dragging in a chart or using a menu.
  let pressed = false;
  document.addEventListener("pointerdown", () => { pressed = true; });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { pressed = false; });

  const refresh = () => {
    const results = document.querySelector("#results[data-live]");
    if (paused || pressed || document.hidden || !results) return;
    results.dispatchEvent(new CustomEvent("refresh"));
  };
  document.addEventListener("click", ({ target }) => {
    if (!target.closest?.("#live")) return;
    paused = !paused;
    show();
    refresh();
  });
  document.addEventListener("htmx:after:swap", show);
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, EVERY_MS);
})();
