// The parts of Plotly that static/js/charts.js uses; node_modules/plotly.js/src/core.js registers all of them.
"use strict";
require("plotly.js/build/plotcss");
const { register } = require("plotly.js/src/registry");
const api = require("plotly.js/src/plot_api");

for (const [name, fn] of Object.entries(api)) register({ moduleType: "apiMethod", name, fn });
register([
  require("plotly.js/src/traces/scatter"),
  require("plotly.js/src/traces/bar"),
  require("plotly.js/src/traces/pie"),
  require("plotly.js/src/components/annotations"),
  require("plotly.js/src/components/shapes"),
  require("plotly.js/src/components/colorscale"),
  require("plotly.js/src/components/colorbar"),
  require("plotly.js/src/components/legend"),  // after shapes, which its defaults look at
  require("plotly.js/src/components/fx"),  // after the legend, for the same reason
  require("plotly.js/src/components/modebar"),
  require("plotly.js/src/locale-en"),
  require("plotly.js/src/locale-en-us"),
]);
const { version } = require("plotly.js/src/version");
const { resize } = require("plotly.js/src/plots/plots");
module.exports = { ...api, version, Plots: { resize } };
