// Shows another program without loading the page again, which would lose the secret of a fresh key; and looks every two
// seconds, while the page is visible, whether a call has come.
"use strict";
(() => {
  const EVERY_MS = 2000;
  let looks = 0;

  // A page that is loaded again still waits for the calls since it was opened first.
  const keep = (tab) => history.replaceState(null, "", tab.dataset.address);
  keep(document.querySelector("[data-snippet][aria-current]"));

  document.addEventListener("click", (event) => {
    const chosen = event.target.closest?.("[data-snippet]");
    if (!chosen || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    for (const tab of document.querySelectorAll("[data-snippet]")) {
      if (tab === chosen) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
      document.getElementById(tab.dataset.snippet).classList.toggle("chosen", tab === chosen);
    }
    keep(chosen);
  });

  // After a number of looks in vain the page rests, and offers to go on.
  const again = () => document.getElementById("again");
  const look = () => {
    const call = document.getElementById("call");
    if (document.hidden || !call.hasAttribute("hx-get")) return;
    if (looks >= Number(call.dataset.looks)) {
      again().classList.remove("submit");
      return;
    }
    looks += 1;
    call.dispatchEvent(new CustomEvent("look"));
  };
  document.addEventListener("click", (event) => {
    if (event.target !== again()) return;
    event.preventDefault();
    again().classList.add("submit");
    looks = 0;
    look();
  });
  document.addEventListener("visibilitychange", look);
  setInterval(look, EVERY_MS);
})();
