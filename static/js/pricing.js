// Editing prices: what a million costs, and which rows are changed, while somebody types.
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

  document.addEventListener("input", ({ target }) => {
    const row = target.closest("[data-row]");
    if (!row) return;
    hint(target);
    row.classList.toggle("changed", shown.get(row) || isTouched(row));
  });
})();
