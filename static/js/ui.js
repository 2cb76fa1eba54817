// Closes menus and applies filters by itself. Without this script, plain HTML does the same with more clicks.
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
  // After a link there is nothing more to choose.
  document.addEventListener("click", ({ target }) => {
    const menu = target.closest?.(`${MENU} a.item`)?.closest(MENU);
    if (menu) setTimeout(() => { menu.open = false; });
  });
  // Nor is there after a click on a range, unless it still needs its dates. Arrow keys go through the ranges one by one.
  document.addEventListener("click", ({ target, detail }) => {
    const option = target.closest?.(".ranges .option");
    if (!option || !detail || option.querySelector("[value=custom]")) return;
    setTimeout(() => {
      const menu = option.closest(MENU);
      menu.querySelector("summary").focus();
      menu.open = false;
    });
  });

  // --- The sheet of filters on narrow screens --------------------------------------------------------------------
  // The sheet takes the focus when it opens. It closes when the focus leaves it, and when the screen becomes wide enough
  // for a row of menus.
  const closeSheet = () => { document.querySelector(".sheet:popover-open")?.hidePopover(); };
  document.addEventListener("toggle", ({ target, newState }) => {
    if (target.id === "sheet" && newState === "open") document.getElementById("sheet-title").focus();
  }, true);
  document.addEventListener("focusin", ({ target }) => { if (!target.closest(".sheet, .sheet-opener")) closeSheet(); });
  matchMedia("(max-width: 1199px)").addEventListener("change", closeSheet);

  // A deferred menu only has its chosen values; opening it loads the others.
  document.addEventListener("toggle", ({ target }) => {
    if (!(target instanceof HTMLDetailsElement) || !target.open || !target.querySelector("[data-deferred]")) return;
    target.querySelector("[data-search]").dispatchEvent(new Event("wanted"));
  }, true);
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    const open = document.querySelector("details.filter[open]");
    if (open) ctx.request.headers["X-Open-Menu"] = open.dataset.menu;
  });

  // A panel that would stick out to the right opens to the left. The event "toggle" would come after the panel was drawn
  // once, and the page could be scrolled sideways until then.
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      if (!target.matches(MENU) || !target.open) continue;
      const panel = target.querySelector(".panel");
      target.classList.remove("to-left");
      target.classList.toggle("to-left", panel.getBoundingClientRect().right > document.documentElement.clientWidth - 8);
    }
  }).observe(document, { subtree: true, attributeFilter: ["open"] });

  // This script delays searches, because htmx forgets a delay in hx-trigger when a refresh comes in between.
  let typing = 0;
  document.addEventListener("input", ({ target }) => {
    if (!target.matches("[data-search]")) return;
    clearTimeout(typing);
    typing = setTimeout(() => { target.dispatchEvent(new Event("wanted")); }, SEARCH_AFTER_MS);
  });
  // Enter does nothing more in a search field, which searches by itself.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("[data-search]")) event.preventDefault();
  });

  // A choice that leads to another page does so at once.
  document.addEventListener("change", ({ target }) => { if (target.matches("[data-submit]")) target.form.requestSubmit(); });

  // --- The filter form -------------------------------------------------------------------------------------------
  let waiting = 0;
  const isFilter = (element) => element.form?.id === "filters" && element.name && !element.matches("[data-search]");

  document.addEventListener("change", ({ target }) => {
    if (!isFilter(target)) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => { waiting = 0; document.getElementById("filters")?.requestSubmit(); }, APPLY_AFTER_MS);
  });
  // Empty fields are left out, so that addresses are short.
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    if (ctx.sourceElement.id !== "filters" && !ctx.sourceElement.matches("[data-search]")) return;
    for (const [name, value] of [...ctx.request.body]) if (value === "") ctx.request.body.delete(name);
  });

  if (window.htmx) {
    // Elements that the reader has opened stay open when htmx replaces the page around them.
    htmx.registerExtension("keep-open", {
      htmx_before_morph_attr: (element, { attrName }) =>
        !(element instanceof HTMLDetailsElement && (attrName === "open" || attrName === "class" && element.open)),
    });
  }
  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    // The reader has changed a filter again: the next answer sets the inputs. Or it is a refresh, which brings no inputs:
    // it would undo a choice whose request has failed and waits to be tried again.
    if (waiting || ctx?.target?.id === "results") return;
    for (const input of document.querySelectorAll("#filters input:is([type=checkbox], [type=radio])")) {
      input.checked = input.defaultChecked;
    }
  });
})();
