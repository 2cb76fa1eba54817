// Menus that close, filters that apply themselves. Everything here has a plain HTML way that works without it.
"use strict";
(() => {
  const MENU = "details[data-menu]";
  const APPLY_AFTER_MS = 350;
  const SEARCH_AFTER_MS = 250;
  const inSheet = (menu) => menu.closest(".sheet:popover-open") !== null;

  // --- Menus -----------------------------------------------------------------------------------------------------
  const openMenus = () => [...document.querySelectorAll(`${MENU}[open]`)].filter((menu) => !inSheet(menu));

  document.addEventListener("pointerdown", ({ target }) => {
    for (const menu of openMenus()) if (!menu.contains(target)) menu.open = false;
  });
  document.addEventListener("focusin", ({ target }) => {
    for (const menu of openMenus()) if (!menu.contains(target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of openMenus()) {
      const hadFocus = menu.contains(document.activeElement);
      menu.open = false;
      if (hadFocus) menu.querySelector("summary").focus();
    }
  });
  // --- The sheet of filters on small screens ---------------------------------------------------------------------
  // Focus goes in when it opens; it closes when focus leaves it, and when the screen is turned and has room for menus.
  const closeSheet = () => { document.querySelector(".sheet:popover-open")?.hidePopover(); };
  document.addEventListener("toggle", ({ target, newState }) => {
    if (target.id === "sheet" && newState === "open") document.getElementById("sheet-title").focus();
  }, true);
  document.addEventListener("focusin", ({ target }) => { if (!target.closest(".sheet, .sheet-opener")) closeSheet(); });
  matchMedia("(max-width: 767px)").addEventListener("change", closeSheet);

  // What a menu offers beside what is chosen may be left out until somebody looks.
  document.addEventListener("toggle", ({ target }) => {
    if (!(target instanceof HTMLDetailsElement) || !target.open || !target.querySelector("[data-deferred]")) return;
    target.querySelector("[data-search]").dispatchEvent(new Event("wanted"));
  }, true);
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    const open = document.querySelector("details.filter[open]");
    if (open) ctx.request.headers["X-Open-Menu"] = open.dataset.menu;
  });

  // A panel that would stick out to the right opens to the left.
  document.addEventListener("toggle", ({ target }) => {
    if (!(target instanceof HTMLDetailsElement) || !target.matches(MENU) || !target.open) return;
    const panel = target.querySelector(".panel");
    target.classList.remove("to-left");
    target.classList.toggle("to-left", panel.getBoundingClientRect().right > document.documentElement.clientWidth - 8);
  }, true);

  // Searches wait here and not in hx-trigger: htmx forgets a delay when a refresh of the results comes in between.
  let typing = 0;
  document.addEventListener("input", ({ target }) => {
    if (!target.matches("[data-search]")) return;
    clearTimeout(typing);
    typing = setTimeout(() => { target.dispatchEvent(new Event("wanted")); }, SEARCH_AFTER_MS);
  });
  document.addEventListener("keydown", (event) => {  // Enter in a search field that has searched already
    if (event.key === "Enter" && event.target.matches("[data-search]")) event.preventDefault();
  });

  // --- The filter form -------------------------------------------------------------------------------------------
  let waiting = 0;
  const isFilter = (element) => element.form?.id === "filters" && element.name && !element.matches("[data-search]");

  document.addEventListener("change", ({ target }) => {
    if (!isFilter(target)) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => { waiting = 0; document.getElementById("filters")?.requestSubmit(); }, APPLY_AFTER_MS);
  });
  // Short addresses: what is empty is not said.
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    if (ctx.sourceElement.id !== "filters" && !ctx.sourceElement.matches("[data-search]")) return;
    for (const [name, value] of [...ctx.request.body]) if (value === "") ctx.request.body.delete(name);
  });

  if (window.htmx) {
    // What the reader has opened stays open while the page changes beneath.
    htmx.registerExtension("keep-open", {
      htmx_before_morph_attr: (element, { attrName }) =>
        !(element instanceof HTMLDetailsElement && (attrName === "open" || attrName === "class" && element.open)),
    });
  }
  document.addEventListener("htmx:after:swap", () => {
    if (waiting) return;  // the reader has gone on; the next answer settles it
    for (const input of document.querySelectorAll("#filters input:is([type=checkbox], [type=radio])")) {
      input.checked = input.defaultChecked;
    }
  });
})();
