// Buttons that copy the text of a field, or of another element. They are hidden until this script is there to answer them.
// Without the script, the text is selected and copied by hand.
"use strict";
(() => {
  const select = (element) => {
    if (element instanceof HTMLInputElement) element.select();
    else getSelection().selectAllChildren(element);
  };
  const copy = async (button) => {
    const element = document.getElementById(button.dataset.copyField);
    select(element);
    try {
      await navigator.clipboard.writeText(element.value ?? element.textContent);
    } catch {  // Without permission or a secure connection, the text stays selected for Ctrl-C.
      if (!document.execCommand("copy")) return;
    }
    button.textContent = "Copied";
    document.getElementById("copied").textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };
  for (const button of document.querySelectorAll("[data-copy-field]")) {
    button.addEventListener("click", () => copy(button));
    button.hidden = false;
  }
})();
