// The page that edits prices: shows the price per million and marks changed rows while somebody types.
"use strict";
(() => {
  const PLAIN = /^(\d+\.?\d*|\.\d+)$/;
  const FORMAT = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 9 });

  const hint = (input) => {
    const place = input.closest("td")?.querySelector("[data-per-million]");
    const text = input.value.trim();
    if (place) place.textContent = PLAIN.test(text) ? `${FORMAT.format(Number(text) * 1000)} / 1M` : "";
  };
  const shown = new Map([...document.querySelectorAll("[data-row]")].map((row) => [row, row.classList.contains("changed")]));
  const isTouched = (row) => [...row.querySelectorAll("input")].some((input) =>
    input.type === "checkbox" ? input.checked !== input.defaultChecked : input.value !== input.defaultValue);

  const show = (row) => row.classList.toggle("changed", shown.get(row) || isTouched(row));

  document.addEventListener("input", ({ target }) => {
    const row = target.closest("[data-row]");
    if (!row) return;
    hint(target);
    show(row);
  });
  // Values may have been typed before this script ran, or the browser may have restored them from an earlier visit.
  for (const row of shown.keys()) {
    if (!isTouched(row)) continue;
    for (const input of row.querySelectorAll("input")) hint(input);
    show(row);
  }
})();
