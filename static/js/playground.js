// The conversation: this script sends a message, shows the answer as it arrives, and then the figures that were recorded.
// Without the script, the form's POST does the same. The conversation is only kept in the form's hidden field.
"use strict";
(() => {
  const form = document.getElementById("playground");
  if (!form) return;

  const byId = (id) => document.getElementById(id);
  const message = form.elements.message;
  const [log, send, stop, welcome] = [byId("log"), byId("send"), byId("stop"), byId("welcome")];
  const FIGURES_EVERY_MS = 400;
  const FIGURES_ATTEMPTS = 15;
  const STOPPED_AFTER_MS = 1200;  // The server needs time to notice the stop and to estimate the tokens.
  const WORDS = {
    waiting: "Waiting for the model…",
    empty: "(The answer has no text.)",
    stopped: "Stopped here. What had come by then is recorded.",
    lost: "The connection to this server was lost.",
    signedOut: "You have been signed out. Reload the page to sign in; this conversation will be gone.",
    refused: "The server did not take the message. Reload the page and try again; this conversation will be gone.",
    recording: "Reading what was recorded…",
    unrecorded: "Nothing is recorded of it yet; look for it under Requests.",
  };
  let underWay = null;

  // --- Turns ---------------------------------------------------------------------------------------------------------
  const addTurn = (role, text) => {
    const turn = byId(`turn-of-${role}`).content.firstElementChild.cloneNode(true);
    turn.querySelector(".said").textContent = text;
    log.append(turn);
    welcome.hidden = true;
    byId("session-link").hidden = false;
    return turn;
  };
  const toEnd = () => scrollTo({ top: document.documentElement.scrollHeight });
  // If the reader is at the end of the page, the page scrolls along as the answer grows; otherwise it does not move.
  const growing = (change) => {
    const isAtEnd = document.documentElement.scrollHeight - innerHeight - scrollY < 120;
    change();
    if (isAtEnd) toEnd();
  };

  const fail = (turn, { message: words, code = "", details = "" }) => {
    const notice = document.createElement("p");
    notice.className = words === WORDS.stopped ? "notice" : "notice error";
    notice.append(`${words} `);
    for (const [name, text] of [["code", code], ["small", details]]) {
      if (text) notice.append(Object.assign(document.createElement(name), { textContent: text }));
    }
    growing(() => turn.querySelector(".failure").replaceChildren(notice));
  };

  // --- Recorded figures ----------------------------------------------------------------------------------------------
  const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });
  const showFigures = async (turn, requestId, after) => {
    const place = turn.querySelector(".recorded");
    place.textContent = WORDS.recording;
    await pause(after);
    for (let attempt = 0; attempt < FIGURES_ATTEMPTS; attempt += 1) {
      const response = await fetch(form.dataset.answers.replace("?", `${requestId}/?`)).catch(() => null);
      if (response?.ok && !response.redirected) {
        const html = await response.text();  // This is a fragment from our own server, escaped by its template.
        growing(() => { place.innerHTML = html; });
        return;
      }
      await pause(FIGURES_EVERY_MS);
    }
    place.textContent = WORDS.unrecorded;
  };

  // --- Sending -------------------------------------------------------------------------------------------------------
  const history = () => JSON.parse(form.elements.history.value || "[]");
  const remember = (question, answer, requestId) => {
    const turns = [
      ...history(),
      { role: "user", content: question },
      { role: "assistant", content: answer, request_id: requestId },
    ];
    form.elements.history.value = JSON.stringify(turns.slice(-Number(form.dataset.maxTurns)));
  };

  const lines = async function* (response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      yield* parts.filter(Boolean).map((line) => JSON.parse(line));
    }
  };

  const read = async (turn, body, signal) => {
    const said = turn.querySelector(".said");
    const answer = { text: "", requestId: "", error: null };
    try {
      const response = await fetch(form.dataset.answers, { method: "POST", body, signal });
      if (response.redirected) return { ...answer, error: { message: WORDS.signedOut } };
      if (!response.headers.get("content-type")?.startsWith("application/x-ndjson")) {
        return { ...answer, error: { message: WORDS.refused } };
      }
      for await (const { request_id: requestId, text, error } of lines(response)) {
        if (requestId) answer.requestId = requestId;
        if (error) answer.error = error;
        if (text) {
          answer.text += text;
          turn.classList.remove("waiting");
          growing(() => { said.textContent = answer.text; });
        }
      }
    } catch {
      answer.error = { message: signal.aborted ? WORDS.stopped : WORDS.lost };
    }
    return answer;
  };

  const begin = () => {
    underWay = new AbortController();
    send.hidden = true;
    stop.hidden = false;
    return underWay.signal;
  };
  const end = () => {
    const hadFocus = document.activeElement === stop;
    underWay = null;
    send.hidden = false;
    stop.hidden = true;
    if (hadFocus) message.focus();
  };

  const ask = async (action) => {
    const body = new FormData(form);
    body.set("action", action);
    const question = action === "fail" ? form.dataset.deliberate : message.value.trim();
    addTurn("user", question);
    const turn = addTurn("assistant", WORDS.waiting);
    turn.classList.add("waiting");
    turn.setAttribute("aria-busy", "true");  // Screen readers wait and then read the whole answer, not word by word.
    if (action === "send") message.value = "";
    toEnd();
    const { text, requestId, error } = await read(turn, body, begin());
    end();
    turn.classList.remove("waiting");
    if (!text) turn.querySelector(".said").textContent = error ? "" : WORDS.empty;
    if (error) fail(turn, error);
    if (text && (!error || error.message === WORDS.stopped)) remember(question, text, requestId);
    if (error && action === "send" && !message.value && !text) message.value = question;
    turn.removeAttribute("aria-busy");
    if (requestId) await showFigures(turn, requestId, error?.message === WORDS.stopped ? STOPPED_AFTER_MS : 0);
  };

  form.addEventListener("submit", (event) => {
    const action = event.submitter?.value || "send";
    if (action === "new") return;
    event.preventDefault();
    if (underWay) return;
    if (action === "send" && !message.value.trim()) message.focus();
    else ask(action);
  });
  stop.addEventListener("click", () => underWay?.abort());

  // --- The composer --------------------------------------------------------------------------------------------------
  message.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit(send);
  });
  for (const example of document.querySelectorAll("[data-example]")) {
    example.addEventListener("click", () => {
      message.value = example.textContent;
        message.focus();
    });
  }
  if (!matchMedia("(pointer: coarse)").matches) message.focus();
})();
