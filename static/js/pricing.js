// The page that edits prices: marks changed rows while somebody types, and shows what the typed prices would have meant.
// Without this script the button "Preview" shows that.
"use strict";
(() => {
  const TYPED_MS = 600;
  const shown = new Map([...document.querySelectorAll("[data-row]")].map((row) => [row, row.classList.contains("changed")]));
  const isTouched = (row) => [...row.querySelectorAll("input")].some((input) =>
    input.type === "checkbox" ? input.checked !== input.defaultChecked : input.value !== input.defaultValue);
  const show = (row) => row.classList.toggle("changed", shown.get(row) || isTouched(row));

  let waiting = 0;
  document.addEventListener("input", ({ target }) => {
    const row = target.closest("[data-row]");
    if (!row) return;
    show(row);
    clearTimeout(waiting);
    waiting = setTimeout(() => { document.querySelector("[data-preview]").dispatchEvent(new Event("wanted")); }, TYPED_MS);
  });
  // Values may have been typed before this script ran, or the browser may have restored them from an earlier visit.
  for (const row of shown.keys()) if (isTouched(row)) show(row);
})();
