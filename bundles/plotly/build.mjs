// Writes the bundle of Plotly with the parts that our charts use: node build.mjs FILE
import { readFileSync } from "node:fs";
import { parse } from "acorn";
import { simple } from "acorn-walk";
import { build } from "esbuild";

// What Plotly's documentation is made of; its own bundles leave it out, too.
const PROSE = new Set(["description", "hrName", "requiredOpts", "otherOpts"]);

const withoutProse = (source) => {
  const values = [];
  simple(parse(source, { ecmaVersion: "latest" }), {
    Property: ({ key, value }) => { if (PROSE.has(key.name) && value.type !== "Identifier") values.push(value); },
  });
  return values.sort((one, other) => other.start - one.start)
    .reduce((text, { start, end }) => `${text.slice(0, start)}0${text.slice(end)}`, source);
};

const { version } = JSON.parse(readFileSync("node_modules/plotly.js/package.json"));
await build({
  entryPoints: ["plotly.cjs"],
  outfile: process.argv[2],
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "Plotly",
  target: "es2020",
  loader: { ".css": "empty" },  // of maps
  define: { global: "window" },
  banner: { js: `/* plotly.js v${version}, the parts of bundles/plotly/plotly.cjs. Copyright Plotly, Inc. Licensed under the MIT license */` },
  plugins: [{
    name: "lean",
    setup({ onLoad, onResolve }) {
      onLoad({ filter: /plotly\.js\/src\/.*\.js$/ }, ({ path }) => ({ contents: withoutProse(readFileSync(path, "utf8")) }));
      onResolve({ filter: /^culori$/ }, () => ({ path: `${process.cwd()}/culori.js` }));
    },
  }],
});
