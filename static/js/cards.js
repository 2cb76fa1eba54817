// Opens the exact figures of a card under the mouse and on focus. Without this script they open by click, tap or Enter,
// and then stay open.
"use strict";
(() => {
  const AFTER_MS = 250;
  const pinned = new WeakSet();
  let waiting = 0;
  let dismissed = null;  // The card that its reader has closed: the focus, which returns to it, does not open it again.

  const cardOf = (target) => target.closest?.("[data-card]");
  const facts = (card) => card.querySelector(".facts");
  const isOpen = (card) => facts(card).matches(":popover-open");
  const soon = (work) => { clearTimeout(waiting); waiting = setTimeout(work, AFTER_MS); };
  const open = (card) => {
    // Opening a card closes any other popover, so a card does not open while there is one.
    const isElsewhere = document.querySelector(":popover-open:not(.facts)");
    if (card.isConnected && !isOpen(card) && !isElsewhere) facts(card).showPopover({ source: card.querySelector(".more") });
  };
  const close = (card) => { if (card.isConnected && !pinned.has(card)) facts(card).hidePopover(); };

  document.addEventListener("pointerover", ({ target, pointerType }) => {
    const card = cardOf(target);
    if (pointerType === "mouse" && card) soon(() => open(card));
  });
  document.addEventListener("pointerout", ({ target, relatedTarget, pointerType }) => {
    const card = cardOf(target);
    if (pointerType === "mouse" && card && !card.contains(relatedTarget)) soon(() => close(card));
  });
  document.addEventListener("click", (event) => {
    const card = event.target.matches?.(".more") && cardOf(event.target);
    if (!card || pinned.has(card)) return;
    // A click on a card that the mouse or the focus has opened does not close it.
    if (isOpen(card)) event.preventDefault();
    pinned.add(card);
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
    pinned.delete(card);
    if (card.contains(document.activeElement)) dismissed = card;
  }, true);
})();
