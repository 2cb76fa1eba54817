// The results refresh themselves while somebody looks at them.
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
  // A chart that is being dragged or a menu of the table that has the pointer's button down is left alone.
  let pressed = false;
  document.addEventListener("pointerdown", () => { pressed = true; });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { pressed = false; });

  const refresh = () => {
    const results = document.getElementById("results");
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
