// Buttons that copy the text of a field, of another element, or an address. Those of fields are hidden until this script is
// there to answer them. Without the script, the text is selected and copied by hand.
"use strict";
(() => {
  const select = (element) => {
    if (element instanceof HTMLInputElement) element.select();
    else getSelection().selectAllChildren(element);
  };
  const say = (button) => {
    const before = button.textContent, status = document.getElementById("copied");
    if (before === "Copied") return;
    button.textContent = "Copied";
    if (status) status.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 2000);
  };
  const copy = async (button) => {
    const element = document.getElementById(button.dataset.copyField);
    select(element);
    try {
      await navigator.clipboard.writeText(element.value ?? element.textContent);
    } catch {  // Without permission or a secure connection, the text stays selected for Ctrl-C.
      if (!document.execCommand("copy")) return;
    }
    say(button);
  };
  for (const button of document.querySelectorAll("[data-copy-field]")) {
    button.addEventListener("click", () => copy(button));
    button.hidden = false;
  }

  // The address of a page with its filters. htmx replaces these buttons, so that the document listens.
  const copyLink = async (button) => {
    const address = new URL(button.dataset.copyLink, location.href).href;
    try {
      await navigator.clipboard.writeText(address);
      say(button);
    } catch {
      prompt("Copy this link:", address);
    }
  };
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("[data-copy-link]");
    if (button) copyLink(button);
  });
})();
