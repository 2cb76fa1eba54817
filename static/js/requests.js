// Opens a request in a drawer beside the list, and copies ids. Without this script, the links lead to pages, and the ids
// can be selected.
"use strict";
(() => {
  // --- The drawer, which is outside of the part that a refresh replaces ------------------------------------------
  // It has the address of the request's page: Back closes it, Forward opens it again, and a reload shows the page.
  const drawer = document.createElement("dialog");
  drawer.className = "drawer";
  drawer.setAttribute("aria-labelledby", "drawer-title");
  let shown = "";  // The address of the request in the drawer.
  let isOurs = false;  // Whether the present step in the history only opens or closes the drawer.

  const links = () => [...document.querySelectorAll("a[data-drawer]")];
  const place = () => links().findIndex((link) => link.getAttribute("href") === shown);
  const neighbour = (step) => place() < 0 ? undefined : links()[place() + step];
  const isAddressOfADrawer = () => Boolean(history.state?.drawer);

  const open = async (address, remember) => {
    const pressed = document.activeElement?.dataset.step;  // Its successor gets the focus.
    try {
      const answer = await fetch(address, { headers: { "HX-Request-Type": "partial" } });
      if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
      drawer.innerHTML = await answer.text();
    } catch {
      location.assign(address);  // The whole page shows the error.
      return;
    }
    shown = address;
    remember?.({ drawer: true }, "", address);
    for (const button of drawer.querySelectorAll("[data-step]")) button.disabled = !neighbour(Number(button.dataset.step));
    if (!drawer.isConnected) document.body.append(drawer);
    if (!drawer.open) drawer.showModal();
    else (drawer.querySelector(`[data-step="${pressed}"]:enabled`) ?? drawer.querySelector("form button")).focus();
    drawer.scrollTop = 0;
  };
  const push = history.pushState.bind(history), replace = history.replaceState.bind(history);
  const step = (by) => {
    const link = neighbour(by);
    if (link) open(link.getAttribute("href"), replace);
  };
  drawer.addEventListener("close", () => {
    if (isAddressOfADrawer()) { isOurs = true; history.back(); }
    links()[place()]?.focus();  // Looked up by its address, because a refresh may have replaced its row.
  });
  document.addEventListener("keydown", ({ key, target, ctrlKey, metaKey, altKey }) => {
    if (!drawer.open || ctrlKey || metaKey || altKey || target.closest(".scroller, pre")) return;  // Arrows scroll these.
    const by = { ArrowLeft: -1, k: -1, ArrowRight: 1, j: 1 }[key];
    if (by) step(by);
  });
  addEventListener("popstate", () => {
    if (isAddressOfADrawer()) { isOurs = true; open(location.pathname); }
    else if (drawer.open) { isOurs = true; drawer.close(); }
  });
  // htmx would load the list again, which is there.
  document.addEventListener("htmx:before:history:restore", (event) => {
    if (isOurs) event.preventDefault();
    isOurs = false;
  });

  document.addEventListener("click", (event) => {
    if (event.target === drawer) { drawer.close(); return; }
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const button = event.target.closest?.("[data-step]");
    if (button) { step(Number(button.dataset.step)); return; }
    const row = event.target.closest?.(".log tbody tr");
    if (!row || event.target.closest("button, [popover]") || !getSelection().isCollapsed) return;
    event.preventDefault();
    open(row.querySelector("a[data-drawer]").getAttribute("href"), push);
  });

  // --- Copying ---------------------------------------------------------------------------------------------------
  // A text, or what an address tells, which is fetched only then. Browsers let a page copy what comes later as a promise.
  const fetched = async (address) => {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(answer.statusText);
    return new Blob([await answer.text()], { type: "text/plain" });
  };
  const write = ({ copy, copyFrom }) => copyFrom
    ? navigator.clipboard.write([new ClipboardItem({ "text/plain": fetched(copyFrom) })])
    : navigator.clipboard.writeText(copy);
  const copy = async (button) => {
    const code = button.parentElement.querySelector("code");
    const label = button.dataset.label ??= button.textContent;
    try {
      await write(button.dataset);
    } catch {  // Without permission or a secure connection, the text is selected for Ctrl-C, or shown.
      if (!code) { location.assign(button.parentElement.querySelector("a").href); return; }
      getSelection().selectAllChildren(code);
      if (!document.execCommand("copy")) return;
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 2000);
  };
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("[data-copy], [data-copy-from]");
    if (button) copy(button);
  });
})();
