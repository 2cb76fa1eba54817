// What is in a card also opens under the mouse and on focus; by click, tap or Enter it opens without this.
"use strict";
(() => {
  const AFTER_MS = 250;
  let waiting = 0;
  let dismissed = null;  // closed by its reader: the focus that comes back does not open it again
  const facts = (card) => card.querySelector("[popover]");
  const isPinned = (card) => card.dataset.pinned === "true";

  const soon = (work) => { clearTimeout(waiting); waiting = setTimeout(work, AFTER_MS); };
  const open = (card) => {
    const button = card.querySelector(".more");
    if (facts(card).matches(":popover-open")) return;
    facts(card).showPopover({ source: button });
    button.popoverTargetAction = "show";  // a click on what the mouse has opened keeps it
  };
  const close = (card) => { if (!isPinned(card)) facts(card).hidePopover(); };
  const cardOf = (target) => target.closest?.("[data-card]");

  document.addEventListener("pointerover", ({ target, pointerType }) => {
    const card = cardOf(target);
    if (pointerType !== "mouse" || !card) return;
    soon(() => open(card));
  });
  document.addEventListener("pointerout", ({ target, relatedTarget, pointerType }) => {
    const card = cardOf(target);
    if (pointerType !== "mouse" || !card || card.contains(relatedTarget)) return;
    soon(() => close(card));
  });
  document.addEventListener("click", ({ target }) => {
    const card = target.matches?.(".more") && cardOf(target);
    if (card && facts(card).matches(":popover-open")) card.dataset.pinned = "true";
  });
  document.addEventListener("focusin", ({ target }) => {
    const card = target.matches?.(".more:focus-visible") && cardOf(target);
    if (card && card !== dismissed) open(card);
  });
  document.addEventListener("focusout", ({ target, relatedTarget }) => {
    const card = cardOf(target);
    if (!card || card.contains(relatedTarget)) return;
    dismissed = null;
    if (relatedTarget) close(card);
  });
  document.addEventListener("toggle", ({ target, newState }) => {
    const card = target.matches?.(".facts") && cardOf(target);
    if (!card || newState !== "closed") return;
    if (card.contains(document.activeElement)) dismissed = card;
    delete card.dataset.pinned;
    card.querySelector(".more").popoverTargetAction = "toggle";
  }, true);
})();
