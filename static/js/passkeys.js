// Makes and shows passkeys. Forms that need one are hidden until this script has found that the browser knows passkeys.
"use strict";
(() => {
  if (!window.PublicKeyCredential) return;
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  const listed = (keys) => (keys || []).map((key) => ({ ...key, id: bytes(key.id) }));

  const read = async (address) => {
    if (!address) return JSON.parse(document.getElementById("passkey-options").textContent);
    const answer = await fetch(address, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error("Please try again in a minute.");
    return answer.json();
  };
  const made = async ({ publicKey: options }) => navigator.credentials.create({ publicKey: {
    ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: listed(options.excludeCredentials),
  } });
  const shown = async ({ publicKey: options }) => navigator.credentials.get({ publicKey: {
    ...options, challenge: bytes(options.challenge), allowCredentials: listed(options.allowCredentials),
  } });
  const written = ({ id, rawId, type, response }) => {
    const parts = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (response[name]) parts[name] = text(response[name]);
    }
    return JSON.stringify({ id, rawId: text(rawId), type, response: parts, clientExtensionResults: {} });
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const problem = form.querySelector("[data-passkey-problem]"), button = form.querySelector("button");
      problem.hidden = button.disabled = true;
      try {
        const options = await read(form.dataset.optionsUrl);
        const credential = await (form.dataset.passkey === "create" ? made : shown)(options);
        form.elements.credential.value = written(credential);
        form.submit();
      } catch (error) {
        problem.textContent = error.name === "NotAllowedError" ? "It was cancelled, or took too long." : error.message;
        problem.hidden = button.disabled = false;
      }
    });
  }
  for (const note of document.querySelectorAll("[data-no-passkeys]")) note.hidden = true;
})();
