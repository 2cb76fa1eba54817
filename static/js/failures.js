// Says where a request of htmx has failed, in place of what it would have brought, and offers to try again: no answer, one
// that took too long, or one that is not ours, such as a proxy's. Failures that our server tells itself name their place.
"use strict";
(() => {
  const told = new Map();  // The message of each target.

  const again = (source) => {
    if (source.matches("form")) source.requestSubmit();
    else if (source.matches("a, button")) source.click();
    else if (source.matches("[data-search]")) source.dispatchEvent(new Event("wanted"));
    else if (source.matches("#results")) source.dispatchEvent(new CustomEvent("refresh"));
    else if (source.matches("[data-from]")) source.dispatchEvent(new CustomEvent("again", { bubbles: true }));
    else location.reload();
  };
  const forget = (key) => { told.get(key)?.remove(); told.delete(key); };
  const tell = ({ sourceElement: source, target }, why) => {
    const key = target?.id || "view";
    forget(key);
    const message = document.getElementById("failed-request").content.firstElementChild.cloneNode(true);
    message.querySelector("[data-why]").textContent = why;
    message.querySelector("button").addEventListener("click", () => { forget(key); again(source.isConnected ? source : document.body); });
    told.set(key, message);
    if (key.startsWith("choices-")) target.after(message);
    else if (target?.matches("[data-from], #preview")) target.replaceChildren(message);
    else document.getElementById("results").before(message);
  };

  document.addEventListener("htmx:error", ({ detail: { ctx, error } }) => {
    if (ctx?.request) tell(ctx, error?.name === "AbortError" ? "The server took too long to answer." : "The server could not be reached.");
  });
  document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
    if (ctx.response.headers.has("HX-Retarget")) return;
    ctx.status = "failed";  // So that htmx does not put the answer, which may be a whole page, in the place.
    tell(ctx, `The server answered with an error (${ctx.response.status}).`);
  });
  document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
    if (ctx.response?.status < 400) forget(ctx.target?.id || "view");
  });
})();
