// Draws #chart-data into the .plot boxes. Colours come from the style sheet and follow the theme; a zoom survives a
// refresh and ends when the filters change.
"use strict";
(() => {
  const probe = document.createElement("i");
  probe.hidden = true;
  const colour = (name, alpha = 1) => {
    probe.style.color = `var(${name})`;
    const rgb = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3);
    return `rgba(${rgb.join(", ")}, ${alpha})`;
  };
  const toneColour = (tone) => colour(`--tone-${tone}`);
  const MANY = 100;  // so many bars are no bars any more
  let measure = "";

  // --- Numbers ---------------------------------------------------------------------------------------------------
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  const places = (largest) => (largest >= 100 ? 0 : largest >= 1 ? 2 : Math.min(9, 1 - Math.floor(Math.log10(largest || 1))));
  const dollars = (value) => value >= 1000 ? `$${compact.format(value)}` : `$${value.toFixed(value ? places(value) || 2 : 2)}`;
  const WRITTEN = { cost: dollars, tokens: (n) => compact.format(n), requests: (n) => compact.format(n) };

  // --- Layout ----------------------------------------------------------------------------------------------------
  const layout = (revision, more) => {
    const axis = {
      gridcolor: colour("--outline-variant"), linecolor: colour("--outline-variant"), zeroline: false, automargin: true,
      tickfont: { color: colour("--on-surface-variant") }, title: { text: "" }, exponentformat: "B",
    };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", uirevision: revision, barmode: "stack",
      bargap: 0.25, barcornerradius: 3, hovermode: "x unified", showlegend: false,
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      margin: { l: 8, r: 8, t: 8, b: 8 },
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--on-surface") },
      hoverlabel: { bgcolor: colour("--surface-3"), bordercolor: colour("--outline-variant"), font: { color: colour("--on-surface") } },
      legend: { orientation: "h", traceorder: "normal", x: 0, y: 1.02, yanchor: "bottom", font: { color: colour("--on-surface-variant") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--on-surface-variant"), activecolor: colour("--primary"), orientation: "v" },
      xaxis: { ...axis, showgrid: false, type: "date", nticks: 8 },
      yaxis: { ...axis, rangemode: "tozero", fixedrange: true, nticks: 6 },
      ...more,
      ...(more?.yaxis2 ? { yaxis2: { ...axis, ...more.yaxis2 } } : {}),
    };
  };

  const amounts = (x, y, name, shade, more = {}) => x.length > MANY
    ? { x, y, name, type: "scatter", mode: "lines", stackgroup: "all", line: { width: 1, color: colour(shade) }, fillcolor: colour(shade, 0.55), ...more }
    : { x, y, name, type: "bar", marker: { color: colour(shade) }, ...more };

  const draw = {
    cost({ series: { x, cost } }, revision) {
      const top = Math.max(...cost);
      const drawn = layout(revision);
      Object.assign(drawn.yaxis, { tickprefix: "$", tickformat: top >= 10 ? "~s" : `.${places(top)}f` });
      const digits = top >= 10 ? 2 : Math.min(9, places(top) + 2);
      return [[amounts(x, cost, "Cost", "--chart-money", { hovertemplate: `$%{y:,.${digits}f}<extra>Cost</extra>` })], drawn];
    },
    tokens({ series: { x, input, cached, output } }, revision) {
      const hover = { hovertemplate: "%{y:,}" };
      return [[
        amounts(x, input, "Input", "--chart-input", hover),
        amounts(x, cached, "Cached input", "--chart-cached", hover),
        amounts(x, output, "Output", "--chart-output", hover),
      ], layout(revision, { showlegend: true })];
    },
    requests({ series: { x, requests, errors, rate } }, revision) {
      const line = { color: colour("--chart-errors"), width: 2 };
      return [[
        amounts(x, requests, "Requests", "--chart-requests", { hovertemplate: "%{y:,}" }),
        { x, y: rate, customdata: errors, name: "Error rate", type: "scatter", mode: "lines", yaxis: "y2", line, hovertemplate: "%{y:.1%} (%{customdata:,} failed)" },
      ], layout(revision, {
        showlegend: true,
        yaxis2: { overlaying: "y", side: "right", rangemode: "tozero", tickformat: ".0%", showgrid: false, fixedrange: true, nticks: 5, minallowed: 0, range: [0, Math.min(1.05, Math.max(0.05, ...rate) * 1.15)] },
      })];
    },
    models({ models }, revision) {
      const total = models.reduce((sum, model) => sum + model[measure], 0);
      const write = WRITTEN[measure];
      return [[{
        type: "pie", hole: 0.68, sort: false, direction: "clockwise", textinfo: "none",
        labels: models.map((model) => model.label), values: models.map((model) => model[measure]),
        customdata: models.map((model) => write(model[measure])), meta: models.map((model) => model.link),
        marker: { colors: models.map((model) => toneColour(model.tone)), line: { color: colour("--surface-1"), width: 2 } },
        hovertemplate: "%{label}<br>%{customdata} · %{percent}<extra></extra>",
      }], layout(revision, {
        hovermode: "closest", margin: { l: 4, r: 4, t: 4, b: 4 },
        annotations: [{ text: `<b>${write(total)}</b>`, showarrow: false, font: { size: 20, color: colour("--on-surface") } }],
      })];
    },
  };

  // --- The legend of the ring ------------------------------------------------------------------------------------
  const legend = (box, models) => {
    const total = models.reduce((sum, model) => sum + model[measure], 0) || 1;
    box.replaceChildren(...models.map((model) => {
      const item = document.createElement("li");
      const name = document.createElement(model.link ? "a" : "span");
      if (model.link) name.href = model.link;
      const dot = Object.assign(document.createElement("span"), { className: `dot tone-${model.tone}` });
      const text = Object.assign(document.createElement("span"), { className: "name", textContent: model.name, title: model.name });
      name.append(dot, text);
      const share = (100 * model[measure]) / total;
      const value = Object.assign(document.createElement("b"), { textContent: `${share > 0 && share < 0.1 ? "<0.1" : share.toFixed(1)}%` });
      item.append(name, value);
      return item;
    }));
    window.htmx?.process(box, true);
  };

  // --- Drawing ---------------------------------------------------------------------------------------------------
  const drawn = new Set();
  const config = {
    displaylogo: false, responsive: true, displayModeBar: "hover",
    modeBarButtons: [["toImage", {
      name: "svg", title: "Download as SVG", icon: Plotly.Icons.disk,
      click: (plot) => Plotly.downloadImage(plot, { format: "svg", filename: plot.id }),
    }]],
  };
  const render = () => {
    for (const plot of drawn) if (!plot.isConnected) { Plotly.purge(plot); drawn.delete(plot); }
    const source = document.getElementById("chart-data");
    if (!source) return;
    const data = JSON.parse(source.textContent);
    const measures = [...document.querySelectorAll("input[name=measure]")];
    if (!measures.some((radio) => radio.value === measure)) measure = measures[0].value;
    for (const radio of measures) radio.checked = radio.value === measure;
    data.models.sort((one, other) => (other.tone > 0) - (one.tone > 0) || other[measure] - one[measure]);
    document.body.append(probe);
    const revision = document.getElementById("results").getAttribute("hx-get");
    for (const plot of document.querySelectorAll(".plot")) {
      const [traces, shape] = draw[plot.dataset.chart](data, revision);
      Plotly.react(plot, traces, shape, { ...config, toImageButtonOptions: { filename: plot.id, scale: 2 } });
      drawn.add(plot);
    }
    const box = document.getElementById("legend-models");
    if (box) legend(box, data.models);
    probe.remove();
  };

  document.addEventListener("htmx:after:swap", render);
  document.addEventListener("themechange", render);
  document.addEventListener("change", ({ target }) => { if (target.name === "measure") { measure = target.value; render(); } });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", render); else render();
})();
