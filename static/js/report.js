// The button that opens the browser's dialog for printing, which also saves a PDF.
"use strict";
document.addEventListener("click", ({ target }) => { if (target.closest?.("[data-print]")) print(); });
