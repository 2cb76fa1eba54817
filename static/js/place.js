// Remembers in this tab where somebody was in Analytics, so that the way back from another page leads there, with the same
// filters. Without this script it leads to the first page of Analytics.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const way = document.querySelector("[data-way-to-analytics]");
  const who = document.querySelector(".account-name")?.textContent.trim();
  if (!way || !who) return;
  const key = `analytics of ${who}`;  // Another person may sign in on this tab.
  try {
    if (document.querySelector(".subnav") && document.getElementById("filters")) addEventListener("pagehide", () => { sessionStorage.setItem(key, location.pathname + location.search); });
    else way.href = sessionStorage.getItem(key) ?? way.href;
  } catch { /* Some browsers forbid to remember anything. */ }
});
