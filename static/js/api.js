// The page of the API's document.
"use strict";

// Swagger UI has dark colours of its own, which a class turns on.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => {
  const root = document.documentElement;
  root.classList.toggle("dark-mode", root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
};
document.addEventListener("themechange", follow);
follow();

const place = document.getElementById("api");
SwaggerUIBundle({
  url: place.dataset.document,
  domNode: place,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  syntaxHighlight: { theme: "obsidian" }, // Of the themes that are there, one whose colours can be read.
  validatorUrl: null, // Nothing is asked of other hosts.
  requestInterceptor: (request) => {
    const token = document.cookie.match(/csrftoken=([^;]+)/);
    if (token && request.method !== "GET") request.headers["X-CSRFToken"] = token[1];
    return request;
  },
});
