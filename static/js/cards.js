// What is in a card also opens under the mouse and on focus; by click, tap or Enter it opens without this, and stays.
"use strict";
(() => {
  const AFTER_MS = 250;
  const pinned = new WeakSet();
  let waiting = 0;
  let dismissed = null;  // closed by its reader: the focus that comes back does not open it again

  const cardOf = (target) => target.closest?.("[data-card]");
  const facts = (card) => card.querySelector(".facts");
  const isOpen = (card) => facts(card).matches(":popover-open");
  const soon = (work) => { clearTimeout(waiting); waiting = setTimeout(work, AFTER_MS); };
  const open = (card) => {
    const isElsewhere = document.querySelector(":popover-open:not(.facts)");  // it would be closed
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
    if (isOpen(card)) event.preventDefault();  // what the mouse or the focus has opened stays
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
