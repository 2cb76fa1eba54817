// Opens a request beside the list, and copies ids. Without it the links lead to pages, and the ids can be selected.
"use strict";
(() => {
  // --- The drawer: outside of what a refresh replaces ------------------------------------------------------------
  const drawer = document.createElement("dialog");
  drawer.className = "drawer";
  drawer.setAttribute("aria-labelledby", "drawer-title");
  let opener = "";

  const open = async (link) => {
    opener = link.getAttribute("href");
    try {
      const answer = await fetch(opener, { headers: { "HX-Request-Type": "partial" } });
      if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
      drawer.innerHTML = await answer.text();
    } catch {
      location.assign(opener);  // the page says what is wrong
      return;
    }
    if (!drawer.isConnected) document.body.append(drawer);
    if (!drawer.open) drawer.showModal();
    drawer.scrollTop = 0;
  };
  // The row may have been made anew meanwhile.
  drawer.addEventListener("close", () => {
    document.querySelector(`a[data-drawer][href="${CSS.escape(opener)}"]`)?.focus();
  });
  document.addEventListener("htmx:before:history:restore", () => drawer.close());

  document.addEventListener("click", (event) => {
    if (event.target === drawer) { drawer.close(); return; }
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const row = event.target.closest?.(".log tbody tr");
    if (!row || event.target.closest("button, [popover]") || !getSelection().isCollapsed) return;
    event.preventDefault();
    open(row.querySelector("a[data-drawer]"));
  });

  // --- Copying ---------------------------------------------------------------------------------------------------
  const copy = async (button) => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {  // no permission, or no secure connection: the text is selected for Ctrl-C
      getSelection().selectAllChildren(code);
      if (!document.execCommand("copy")) return;
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("[data-copy]");
    if (button) copy(button);
  });
})();
