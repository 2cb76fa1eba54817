// Applies the filters of the catalogue as they are changed, and estimates a prompt while it is typed. Without this script
// the buttons do the same.
"use strict";
(() => {
  const TYPED_MS = 600;
  document.addEventListener("change", ({ target }) => {
    const form = target.form;
    if (form?.matches("[data-auto-submit]") && target.type !== "search") form.requestSubmit();
  });

  let waiting = 0;
  document.addEventListener("input", ({ target }) => {
    const form = target.form;
    if (!form?.matches("[data-estimate]")) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => { form.requestSubmit(); }, TYPED_MS);
  });
})();
