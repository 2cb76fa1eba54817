// Sets the remembered theme. The script runs before the first paint, so that the other theme does not flash.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const remembered = () => {
    try { return localStorage.getItem("theme") || "system"; } catch { return "system"; }
  };
  const apply = (theme) => {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  apply(remembered());

  document.addEventListener("DOMContentLoaded", () => {
    for (const radio of document.querySelectorAll("input[name=theme]")) radio.checked = radio.value === remembered();
  });
  document.addEventListener("change", ({ target }) => {
    if (target.name !== "theme") return;
    try { localStorage.setItem("theme", target.value); } catch { /* In private mode the theme only holds for this page. */ }
    apply(target.value);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(remembered()));
})();
