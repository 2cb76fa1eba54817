// Draws #chart-data, and #slow-data that comes after it, into the .plot boxes. Colours come from the style sheet and
// follow the theme; a zoom survives a refresh and ends when the filters change.
"use strict";
(() => {
  const probe = document.createElement("i");
  probe.hidden = true;
  const colour = (name, alpha = 1) => {
    probe.style.color = `var(${name})`;
    const rgb = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3);
    return `rgba(${rgb.join(", ")}, ${alpha})`;
  };
  const MANY = 100;  // so many bars are no bars any more
  const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
  const isTouch = matchMedia("(pointer: coarse)").matches;

  // --- Numbers ---------------------------------------------------------------------------------------------------
  const shortest = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  const places = (largest) => (largest >= 100 ? 0 : largest >= 1 ? 2 : Math.min(9, 1 - Math.floor(Math.log10(largest || 1))));
  const compact = (n) => shortest.format(n);
  const count = (n) => n.toLocaleString("en");
  const dollars = (value) => value >= 1000 ? `$${compact(value)}` : `$${value.toFixed(value ? places(value) || 2 : 2)}`;
  const exactDollars = (value) => `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 9 })}`;
  const percent = (share) => !share ? "0%" : `${share > 0 && share < 0.001 ? "<0.1" : (100 * share).toFixed(1)}%`;
  const duration = (ms) => ms === null ? "–" : ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toPrecision(3)} s`;
  const scaled = (ms) => ms < 1000 ? `${ms} ms` : `${count(ms / 1000)} s`;
  const WRITTEN = { cost: dollars, tokens: compact, requests: compact };
  const hour = (number) => `${String(number).padStart(2, "0")}:00`;

  // --- Layout ----------------------------------------------------------------------------------------------------
  const layout = (revision, more) => {
    const axis = {
      gridcolor: colour("--outline-variant"), linecolor: colour("--outline-variant"), zeroline: false, automargin: true,
      tickfont: { color: colour("--on-surface-variant") }, title: { text: "" }, exponentformat: "B",
    };
    const { xaxis, yaxis, yaxis2, ...others } = more ?? {};
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", uirevision: revision, barmode: "stack",
      bargap: 0.25, barcornerradius: 3, hovermode: "x unified", showlegend: false,
      dragmode: isTouch ? false : "zoom",
      margin: { l: 8, r: 8, t: 8, b: 8 },
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--on-surface") },
      hoverlabel: { bgcolor: colour("--surface-3"), bordercolor: colour("--outline-variant"), font: { color: colour("--on-surface") } },
      legend: { orientation: "h", traceorder: "normal", x: 0, y: 1.02, yanchor: "bottom", font: { color: colour("--on-surface-variant") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--on-surface-variant"), activecolor: colour("--primary"), orientation: "v" },
      xaxis: { ...axis, showgrid: false, type: "date", nticks: innerWidth < 500 ? 4 : 8, ...xaxis },
      yaxis: { ...axis, rangemode: "tozero", fixedrange: true, nticks: 6, ...yaxis },
      ...(yaxis2 ? { yaxis2: { ...axis, ...yaxis2 } } : {}),
      ...others,
    };
  };

  const amounts = (x, y, name, shade, more = {}) => x.length > MANY
    ? { x, y, name, type: "scatter", mode: "lines", stackgroup: "all", line: { width: 1, color: colour(shade) }, fillcolor: colour(shade, 0.55), ...more }
    : { x, y, name, type: "bar", marker: { color: colour(shade) }, ...more };

  // Points as well as lines: one between two gaps would not be seen.
  const times = (x, ms, name, shade, dash) => ({
    x, y: ms, customdata: ms.map(duration), name, type: "scatter", mode: "lines+markers", connectgaps: false,
    line: { color: colour(shade), width: 2, dash }, marker: { size: x.length > MANY ? 3 : 5, color: colour(shade) },
    hovertemplate: "%{customdata}",
  });
  // 1, 2 and 5 of each power of ten, or only 1 where there are many.
  const steps = (least, most) => {
    const powers = Array.from({ length: 8 }, (_, power) => 10 ** power);
    const marks = powers.flatMap((power) => (most / least > 3000 ? [1] : [1, 2, 5]).map((digit) => digit * power));
    return marks.filter((mark) => mark >= least && mark <= most);
  };

  const ring = (parts, values, colours, write, revision) => {
    const total = values.reduce((sum, value) => sum + value, 0);
    return [[{
      type: "pie", hole: 0.68, sort: false, direction: "clockwise", textinfo: "none",
      labels: parts.map(({ label, name }) => label ?? name), values, customdata: values.map(write),
      marker: { colors: colours, line: { color: colour("--surface-1"), width: 2 } },
      hovertemplate: "%{label}<br>%{customdata} · %{percent}<extra></extra>",
    }], layout(revision, {
      hovermode: "closest", margin: { l: 4, r: 4, t: 4, b: 4 },
      annotations: [{ text: `<b>${write(total)}</b>`, showarrow: false, font: { size: 20, color: colour("--on-surface") } }],
    })];
  };

  const draw = {
    cost({ series: { x, cost } }, revision) {
      const top = Math.max(...cost);
      const digits = top >= 10 ? 2 : Math.min(9, places(top) + 2);
      return [
        [amounts(x, cost, "Cost", "--chart-money", { hovertemplate: `$%{y:,.${digits}f}<extra>Cost</extra>` })],
        layout(revision, { yaxis: { tickprefix: "$", tickformat: top >= 10 ? "~s" : `.${places(top)}f` } }),
      ];
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
    models({ models }, revision, measure) {
      const tones = models.map(({ tone }) => colour(`--tone-${tone}`));
      return ring(models, models.map((model) => model[measure]), tones, WRITTEN[measure], revision);
    },
    parts({ parts }, revision) {
      return ring(parts, parts.map(({ tokens }) => tokens), parts.map(({ shade }) => colour(`--chart-${shade}`)), compact, revision);
    },
    latency({ latency: { x, p50, p95, p99, ttft } }, revision) {
      const all = [...p50, ...p99, ...ttft].filter((ms) => ms > 0);  // a slow minute must not flatten the usual ones
      const least = 0.8 * Math.min(1000, ...all), most = 1.2 * Math.max(100, ...all), marks = steps(least, most);
      return [[
        times(x, p50, "p50", "--chart-p50"),
        times(x, p95, "p95", "--chart-p95"),
        times(x, p99, "p99", "--chart-p99"),
        times(x, ttft, "First token", "--chart-first", "dot"),
      ], layout(revision, {
        showlegend: true,
        yaxis: { type: "log", range: [Math.log10(least), Math.log10(most)], tickvals: marks, ticktext: marks.map(scaled) },
      })];
    },
    // A bar of one unit for each hour, a row of them for each weekday.
    heat({ heat }, revision, measure) {
      const week = heat[measure], write = { cost: exactDollars, tokens: count, requests: count }[measure];
      const hours = week[0].map((_, number) => number);
      const top = Math.max(...week.flat()) || 1;
      const least = top / 1e6;  // nothing has a colour of its own
      return [week.map((values, day) => ({
        type: "bar", name: DAYS[day], x: hours, y: hours.map(() => 0.92), base: hours.map(() => day + 0.04),
        customdata: values.map(write), text: hours.map((number) => `${DAYS[day]} ${hour(number)}–${hour(number + 1)}`), textposition: "none",
        marker: { color: values, coloraxis: "coloraxis" }, hovertemplate: `%{text}<br>%{customdata} ${measure === "cost" ? "" : measure}<extra></extra>`,
      })), layout(revision, {
        barmode: "overlay", bargap: 0.08, hovermode: "closest", dragmode: false, margin: { l: 8, r: isTouch ? 34 : 8, t: 8, b: 8 },
        xaxis: { type: "linear", range: [-0.5, 23.5], fixedrange: true, tickvals: [0, 6, 12, 18], ticktext: [0, 6, 12, 18].map(hour), tickangle: 0, showline: false },
        yaxis: { range: [7, 0], rangemode: "normal", showgrid: false, tickvals: DAYS.map((_, day) => day + 0.5), ticktext: DAYS },
        coloraxis: {
          cmin: 0, cmax: top,
          colorscale: [[0, colour("--surface-2")], [least / top, colour("--heat-low")], [1, colour("--heat-high")]],
          colorbar: { orientation: "h", x: 1, xanchor: "right", y: -0.12, yanchor: "top", len: 0.45, thickness: 8, outlinewidth: 0, nticks: 4, tickformat: "~s", tickprefix: measure === "cost" ? "$" : "", tickfont: { color: colour("--on-surface-variant") } },
        },
      })];
    },
  };

  // --- Leading on ------------------------------------------------------------------------------------------------
  const follow = (href) => {
    const link = Object.assign(document.createElement("a"), { href, hidden: true });
    document.getElementById("view").append(link);
    window.htmx?.process(link);
    link.click();
    link.remove();
  };
  const toDay = ({ day }, x) => day && `${day}&from=${x.slice(0, 10)}&to=${x.slice(0, 10)}`;
  const leadsTo = {
    models: ({ models }, point) => models[point.pointNumber]?.link,
    ...Object.fromEntries(["cost", "tokens", "requests", "latency"].map((name) => [name, (data, point) => toDay(data, point.x)])),
  };
  const HINTS = { models: "Click a slice to see one model alone" };
  const DAY_HINT = "Click to see one day alone";
  let tapped = "";
  const click = (plot, { points: [point] }) => {
    const href = point && leadsTo[plot.dataset.chart]?.(present, point);
    const place = `${plot.id} ${point?.x ?? point?.pointNumber}`;
    if (isTouch && tapped !== place) { tapped = place; return; }  // the first tap only shows the figures
    if (href) follow(href);
  };

  // --- The legends of the rings ----------------------------------------------------------------------------------
  const element = (name, className, textContent = "") => Object.assign(document.createElement(name), { className, textContent });
  const legend = (box, parts, values) => {
    const total = values.reduce((sum, value) => sum + value, 0) || 1;
    box.replaceChildren(...parts.map(({ name, link, tone, shade }, number) => {
      const item = element("li"), label = element(link ? "a" : "span", "");
      if (link) label.href = link;
      label.append(element("span", `dot ${shade ? `shade-${shade}` : `tone-${tone}`}`), Object.assign(element("span", "name", name), { title: name }));
      item.append(label, element("b", "", percent(values[number] / total)));
      return item;
    }));
    window.htmx?.process(box, true);
  };

  // --- The same as a table ---------------------------------------------------------------------------------------
  const COLUMNS = {
    cost: [["Cost", "cost", exactDollars]],
    tokens: [["Input", "input", count], ["Cached input", "cached", count], ["Output", "output", count]],
    requests: [["Requests", "requests", count], ["Failed", "errors", count], ["Error rate", "rate", percent]],
    latency: [["p50", "p50", duration], ["p95", "p95", duration], ["p99", "p99", duration], ["First token", "ttft", duration]],
  };
  const table = (box) => {
    const name = box.dataset.tableOf, columns = COLUMNS[name], series = name === "latency" ? present.latency : present.series;
    if (!series || !box.closest("[open]")) return;
    const head = element("tr"), made = element("table");
    head.append(...["When", ...columns.map(([title]) => title)].map((title) => Object.assign(element("th", "", title), { scope: "col" })));
    made.createTHead().append(head);
    const lines = series.x.map((x, number) => {
      const line = element("tr"), when = Object.assign(element("th"), { scope: "row" }), href = toDay(present, x);
      when.append(href ? Object.assign(element("a", "", x.replace("T", " ")), { href }) : x.replace("T", " "));
      line.append(when, ...columns.map(([, key, write]) => element("td", "", write(series[key][number]))));
      return line;
    });
    made.createTBody().append(...lines.reverse());
    const { scrollTop } = box, focused = box.contains(document.activeElement) && document.activeElement.href;
    box.replaceChildren(made);
    window.htmx?.process(box, true);
    box.scrollTop = scrollTop;
    if (focused) [...box.querySelectorAll("a")].find(({ href }) => href === focused)?.focus({ preventScroll: true });
  };

  // --- Drawing ---------------------------------------------------------------------------------------------------
  const drawn = new Map();  // what each plot shows: drawing the same again would cost time and nothing else
  const chosen = {};
  let present = {};
  const config = {
    displaylogo: false, responsive: true, displayModeBar: "hover",
    modeBarButtons: [["toImage", {
      name: "svg", title: "Download as SVG", icon: Plotly.Icons.disk,
      click: (plot) => Plotly.downloadImage(plot, { format: "svg", filename: plot.id }),
    }]],
  };
  const asked = new WeakMap();  // by element: one that is new has nothing yet
  const askForMore = () => {
    const slow = document.getElementById("slow");
    if (!slow || asked.get(slow) === slow.dataset.from) return;
    asked.set(slow, slow.dataset.from);
    window.htmx?.ajax("GET", slow.dataset.from, { source: slow, target: slow, swap: "innerHTML" });
  };
  const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "{}");
  const measureOf = (name) => {
    const radios = [...document.querySelectorAll(`input[name=measure-${name}]`)];
    const measure = radios.find(({ value }) => value === chosen[name])?.value ?? radios[0]?.value;
    for (const radio of radios) radio.checked = radio.value === measure;
    return measure;
  };
  const show = (plot, revision, theme) => {
    const name = plot.dataset.chart, measure = measureOf(name);
    const own = { cost: "series", tokens: "series", requests: "series" }[name] ?? name;
    if (!present[own]) return;
    if (name === "models") present.models.sort((one, other) => (other.tone > 0) - (one.tone > 0) || other[measure] - one[measure]);
    const key = JSON.stringify([revision, theme, measure, present[own]]);
    const isNew = !drawn.has(plot);
    if (drawn.get(plot) !== key) {
      const [traces, shape] = draw[name](present, revision, measure);
      Plotly.react(plot, traces, shape, { ...config, toImageButtonOptions: { filename: plot.id, scale: 2 } });
      drawn.set(plot, key);
      const box = document.getElementById(`legend-${name}`);
      if (box) legend(box, present[name], present[name].map((part) => part[measure ?? "tokens"]));
    }
    if (isNew) plot.on("plotly_click", (event) => click(plot, event));
    const leads = name === "models" || (leadsTo[name] && present.day);
    plot.classList.toggle("leads", Boolean(leads));
    plot.title = leads ? HINTS[name] ?? DAY_HINT : "";
  };
  const render = () => {
    askForMore();
    for (const plot of drawn.keys()) if (!plot.isConnected) { Plotly.purge(plot); drawn.delete(plot); }
    if (!document.getElementById("chart-data")) return;
    present = { ...read("chart-data"), ...read("slow-data") };
    document.body.append(probe);
    const revision = document.getElementById("slow").dataset.from.replace(/&version=.*/, "");  // days, grain and filters
    const theme = colour("--surface-1") + colour("--primary");
    for (const plot of document.querySelectorAll(".plot")) show(plot, revision, theme);
    probe.remove();
    for (const box of document.querySelectorAll("[data-table-of]")) table(box);
    for (const place of document.querySelectorAll("[data-later]")) place.textContent = present.percentiles?.[place.dataset.later] ?? "…";
  };

  document.addEventListener("htmx:after:swap", render);
  document.addEventListener("themechange", render);
  document.addEventListener("change", ({ target }) => {
    if (!target.name?.startsWith("measure-")) return;
    chosen[target.name.replace("measure-", "")] = target.value;
    render();
  });
  document.addEventListener("toggle", ({ target }) => { if (target.matches?.(".chart-table")) table(target.querySelector("[data-table-of]")); }, true);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", render); else render();
})();
