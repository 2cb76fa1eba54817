// Draws the data of #chart-data, and of #slow-data, which is loaded later, into the .plot boxes. Colours come from the
// style sheet and follow the theme. A zoom survives a refresh and ends when the filters change.
"use strict";
(() => {
  const probe = document.createElement("i");
  probe.hidden = true;
  probe.style.forcedColorAdjust = "none";  // With colours of the reader's own, series still differ.
  const colour = (name, alpha = 1) => {
    probe.style.color = `var(${name})`;
    const rgb = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3);
    return `rgba(${rgb.join(", ")}, ${alpha})`;
  };
  // The color at this share of the way from one to another.
  const between = (from, to, share) => {
    const [start, end] = [from, to].map((one) => one.match(/[\d.]+/g).map(Number));
    return `rgb(${[0, 1, 2].map((part) => Math.round(start[part] + share * (end[part] - start[part]))).join(", ")})`;
  };
  const MANY = 100;  // With more points than this, a chart draws lines instead of bars, which would be too narrow.
  const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
  const isTouch = matchMedia("(pointer: coarse)").matches;

  // --- Numbers ---------------------------------------------------------------------------------------------------
  const shortest = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  const places = (largest) => (largest >= 100 ? 0 : largest >= 1 ? 2 : Math.min(9, 1 - Math.floor(Math.log10(largest || 1))));
  const compact = (n) => shortest.format(n);
  const count = (n) => n.toLocaleString("en");
  const dollars = (value) => value >= 1000 ? `$${compact(value)}` : `$${value.toFixed(value ? places(value) || 2 : 2)}`;
  const exactDollars = (value) => `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 9 })}`;
  // As on the rest of the page: one decimal, but for nothing and the whole, and no small part looks like nothing.
  const percent = (share) => {
    if (share === 0 || share === 1) return `${100 * share}%`;
    return share < 0.001 ? "<0.1%" : share > 0.999 && share < 1 ? ">99.9%" : `${(100 * share).toFixed(1)}%`;
  };
  // A cost that lacks the requests without a price says so; without any price there is none to show.
  const atLeast = (write) => (value, unpriced) => unpriced ? (value ? `≥ ${write(value)}` : "–") : write(value);
  const duration = (ms) => ms === null ? "–" : ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toPrecision(3)} s`;
  const scaled = (ms) => ms < 1000 ? `${ms} ms` : `${count(ms / 1000)} s`;
  const WRITTEN = { cost: atLeast(dollars), tokens: compact, requests: compact };
  const WRITTEN_EXACTLY = { cost: atLeast(exactDollars), tokens: count, requests: count };
  const sum = (values) => values.reduce((total, value) => total + value, 0);
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
      legend: { orientation: "h", traceorder: "normal", entrywidth: innerWidth < 500 ? 80 : 0, x: 0, y: 1.02, yanchor: "bottom", font: { size: innerWidth < 500 ? 11 : 12, color: colour("--on-surface-variant") } },
      xaxis: { ...axis, showgrid: false, type: "date", nticks: innerWidth < 500 ? 4 : 8, ...xaxis },
      yaxis: { ...axis, rangemode: "tozero", fixedrange: true, nticks: 6, ...yaxis },
      ...(yaxis2 ? { yaxis2: { ...axis, ...yaxis2 } } : {}),
      ...others,
    };
  };

  const amounts = (x, y, name, shade, more = {}) => x.length > MANY
    ? { x, y, name, type: "scatter", mode: "lines", stackgroup: "all", line: { width: 1, color: colour(shade) }, fillcolor: colour(shade, 0.55), ...more }
    : { x, y, name, type: "bar", marker: { color: colour(shade) }, ...more };

  // The chart draws points as well as lines, because a single point between two gaps has no line.
  const times = (x, ms, name, shade, dash) => ({
    x, y: ms, customdata: ms.map(duration), name, type: "scatter", mode: "lines+markers", connectgaps: false,
    line: { color: colour(shade), width: 2, dash }, marker: { size: x.length > MANY ? 3 : 5, color: colour(shade) },
    hovertemplate: "%{customdata}",
  });
  // The ticks of a logarithmic axis: 1, 2 and 5 of each power of ten, or only 1 for a long axis.
  const steps = (least, most) => {
    const powers = Array.from({ length: 8 }, (_, power) => 10 ** power);
    const marks = powers.flatMap((power) => (most / least > 3000 ? [1] : [1, 2, 5]).map((digit) => digit * power));
    return marks.filter((mark) => mark >= least && mark <= most);
  };

  // An axis of shares: round steps, so that the marks are what they say, and at most six marks.
  const shares = (largest) => {
    const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((one) => largest <= 5 * one);
    return { tickformat: ".0%", tick0: 0, dtick: step, range: [0, Math.max(step, step * Math.ceil(largest / step)) * 1.05] };
  };
  // An axis of whole numbers has no marks between them.
  const whole = (values) => Math.max(...values) < 5 ? { tick0: 0, dtick: 1 } : {};

  const ring = (parts, values, colours, write, revision, unpriced = values.map(() => 0)) => {
    const total = sum(values), missing = sum(unpriced);
    const shares = values.map((value) => percent(value / (total || 1)));
    return [[{
      type: "pie", hole: 0.68, sort: false, direction: "clockwise", textinfo: "none",
      labels: parts.map(({ label, name }) => label ?? name), values,
      customdata: values.map((value, number) => `${write(value, unpriced[number])} · ${shares[number]}`),
      marker: { colors: colours, line: { color: colour("--surface-1"), width: 2 } },
      hovertemplate: "%{label}<br>%{customdata}<extra></extra>",
    }], layout(revision, {
      hovermode: "closest", margin: { l: 4, r: 4, t: 4, b: 4 },
      annotations: [{ text: `<b>${write(total, missing)}</b>`, showarrow: false, font: { size: 20, color: colour("--on-surface") } }],
    })];
  };

  // The day that is not over is hatched, so that nobody takes its low bar for a fall.
  const hatched = (traces, { x, today }) => {
    const number = x.indexOf(today);
    if (number < 0) return traces;
    const shape = x.map((_, other) => (other === number ? "/" : ""));
    return traces.map((trace) => trace.type === "bar" ? { ...trace, marker: { ...trace.marker, pattern: { shape, fgopacity: 0.65, size: 5, solidity: 0.45 } } } : trace);
  };
  // The previous period as a dotted line over the days of this one.
  const ghost = (x, before, measure, hovertemplate) => !before ? [] : [{
    x, y: before[measure], name: "Previous period", type: "scatter", mode: "lines", hovertemplate,
    line: { color: colour("--on-surface-variant", 0.7), width: 1.5, dash: "dot" },
  }];

  // The layers of a stacked chart, each with the figures of one value of the dimension that the reader chose.
  const stack = (x, layers, measure, hover) =>
    layers.map(({ label, color, ...figures }) => amounts(x, figures[measure], label, `--color-${color}`, hover(figures)));

  const draw = {
    cost({ series, layers, before }, revision) {
      const { x, cost } = series, top = Math.max(...cost);
      const digits = top >= 10 ? 2 : Math.min(9, places(top) + 2), hovertemplate = `$%{y:,.${digits}f}`;
      const write = atLeast((value) => `$${value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`);
      const hover = (figures) => ({ customdata: figures.cost.map((value, number) => write(value, figures.unpriced[number])), hovertemplate: "%{customdata}" });
      return [
        [
          ...hatched(layers ? stack(x, layers, "cost", hover) : [amounts(x, cost, "Cost", "--chart-money", hover(series))], series),
          ...ghost(x, before, "cost", hovertemplate),
        ],
        layout(revision, { yaxis: { tickprefix: "$", tickformat: top >= 10 ? "~s" : `.${places(top)}f` } }),
      ];
    },
    tokens({ series, layers, before }, revision) {
      const { x, input, cached, output } = series, hover = { hovertemplate: "%{y:,}" };
      const previous = ghost(x, before, "tokens", hover.hovertemplate);
      if (layers) return [[...hatched(stack(x, layers, "tokens", () => hover), series), ...previous], layout(revision)];
      return [[
        ...hatched([
          amounts(x, input, "Input", "--chart-input", hover),
          amounts(x, cached, "Cached input", "--chart-cached", hover),
          amounts(x, output, "Output", "--chart-output", hover),
        ], series),
        ...previous,
      ], layout(revision, { showlegend: true })];
    },
    requests({ series, layers, before }, revision) {
      const { x, requests, errors, timeouts, rate } = series, hover = { hovertemplate: "%{y:,}" };
      const previous = ghost(x, before, "requests", hover.hovertemplate);
      if (layers) return [[...hatched(stack(x, layers, "requests", () => hover), series), ...previous], layout(revision)];
      const line = { color: colour("--chart-errors"), width: 2 };
      return [[
        ...hatched([
          amounts(x, requests.map((all, number) => all - errors[number]), "Success", "--chart-requests", hover),
          amounts(x, errors.map((failed, number) => failed - timeouts[number]), "Error", "--color-2", hover),
          amounts(x, timeouts, "Time-out", "--color-6", hover),
        ], series),
        ...previous,
        { x, y: rate, customdata: errors.map((failed, number) => `${percent(rate[number])} (${count(failed)} failed)`), name: "Error rate", type: "scatter", mode: "lines", yaxis: "y2", line, hovertemplate: "%{customdata}" },
      ], layout(revision, {
        showlegend: true,
        yaxis: whole(requests),
        yaxis2: { overlaying: "y", side: "right", ticklabelstandoff: 10, rangemode: "tozero", showgrid: false, fixedrange: true, minallowed: 0, ...shares(Math.max(...rate)) },
      })];
    },
    models({ models }, revision, measure) {
      const colours = models.map(({ color }) => colour(`--color-${color}`));
      const unpriced = measure === "cost" ? models.map((model) => model.unpriced) : undefined;
      return ring(models, models.map((model) => model[measure]), colours, WRITTEN[measure], revision, unpriced);
    },
    parts({ parts }, revision) {
      return ring(parts, parts.map(({ tokens }) => tokens), parts.map(({ shade }) => colour(`--chart-${shade}`)), compact, revision);
    },
    latency({ latency: { x, p50, p95, p99, ttft } }, revision) {
      // The axis is logarithmic, so that one slow minute does not flatten all others.
      const all = [...p50, ...p99, ...ttft].filter((ms) => ms > 0);
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
    // The buckets are of equal width, since their bounds grow by equal factors.
    spread({ spread: { bounds, requests, percentiles, layers } }, revision) {
      const place = (ms) => {
        const number = bounds.findLastIndex((bound) => bound <= ms), [low, high] = [Math.max(bounds[number], 1), bounds[number + 1] ?? ms];
        return number - 0.5 + (high > low ? Math.log(Math.max(ms, low) / low) / Math.log(high / low) : 0);
      };
      const x = requests.map((_, number) => number), first = -0.6, last = requests.length - 0.4;
      const within = x.map((number) => `${duration(bounds[number])} – ${duration(bounds[number + 1])}`);
      const bars = (y, name, shade) => ({
        type: "bar", x, y, name, customdata: within, marker: { color: colour(shade) }, hovertemplate: `%{customdata}<br>%{y:,} requests<extra>${name}</extra>`,
      });
      const marks = Object.entries(percentiles).filter(([, ms]) => ms !== null);
      const step = Math.max(1, Math.ceil(bounds.length / (innerWidth < 500 ? 5 : 9)));
      const ticks = bounds.map((_, number) => number).filter((number) => number % step === 0);
      return [
        layers ? layers.map(({ label, color, requests: own }) => bars(own, label, `--color-${color}`)) : [bars(requests, "", "--chart-requests")],
        layout(revision, {
          hovermode: "closest", dragmode: false, bargap: 0.06, margin: { l: 8, r: 8, t: 14 * marks.length, b: 8 },
          xaxis: { type: "linear", fixedrange: true, range: [first, last], tickvals: ticks.map((number) => number - 0.5), ticktext: ticks.map((number) => duration(bounds[number])) },
          shapes: marks.map(([name, ms]) => ({ type: "line", x0: place(ms), x1: place(ms), yref: "paper", y0: 0, y1: 1, line: { color: colour(`--chart-${name}`), width: 2, dash: "dot" } })),
          // Each label has a line of its own, since the percentiles may lie close together, and none goes over the edge.
          annotations: marks.map(([name, ms], number) => ({ x: (place(ms) - first) / (last - first), xref: "paper", y: 1, yref: "paper", yanchor: "bottom", yshift: 13 * number - 3, showarrow: false, text: `${name} ${duration(ms)}`, font: { size: 11, color: colour(`--chart-${name}`) } })),
        }),
      ];
    },
    // The heat map is a row of bars for each weekday, with a bar of equal height for each hour.
    heat({ heat }, revision, measure) {
      const week = heat[measure], write = { cost: atLeast(exactDollars), tokens: count, requests: count }[measure];
      const unpriced = measure === "cost" ? heat.unpriced : undefined;
      const hours = week[0].map((_, number) => number);
      const top = Math.max(...week.flat()) || 1;
      const ground = colour("--surface-2"), low = colour("--heat-low"), high = colour("--heat-high");
      // This trace has no point; the scale of colours belongs to it. Plotly complains about bars with a scale.
      const scale = { type: "scatter", mode: "markers", x: [null], y: [null], marker: { color: [0], coloraxis: "coloraxis" }, hoverinfo: "skip" };
      return [[scale, ...week.map((values, day) => ({
        type: "bar", name: DAYS[day], x: hours, y: hours.map(() => 0.92), base: hours.map(() => day + 0.04),
        customdata: values.map((value, number) => write(value, unpriced?.[day][number])), text: hours.map((number) => `${DAYS[day]} ${hour(number)}–${hour(number + 1)}`), textposition: "none",
        marker: { color: values.map((value) => value ? between(low, high, value / top) : ground) }, hovertemplate: `%{text}<br>%{customdata} ${measure === "cost" ? "" : measure}<extra></extra>`,
      }))], layout(revision, {
        barmode: "overlay", bargap: 0.08, hovermode: "closest", dragmode: false, margin: { l: 8, r: 8, t: 8, b: 8 },
        xaxis: { type: "linear", range: [-0.5, 23.5], fixedrange: true, tickvals: [0, 6, 12, 18], ticktext: [0, 6, 12, 18].map(hour), tickangle: 0, showline: false },
        yaxis: { range: [7, 0], rangemode: "normal", showgrid: false, tickvals: DAYS.map((_, day) => day + 0.5), ticktext: DAYS },
        coloraxis: {
          cmin: 0, cmax: top, colorscale: [[0, low], [1, high]],
          colorbar: { orientation: "h", x: 1, xanchor: "right", y: -0.12, yanchor: "top", len: 0.45, thickness: 8, outlinewidth: 0, nticks: 4, tickformat: "~s", tickprefix: measure === "cost" ? "$" : "", tickfont: { color: colour("--on-surface-variant") } },
        },
      })];
    },
  };

  // --- Links from charts -----------------------------------------------------------------------------------------
  const follow = (href) => {
    const link = Object.assign(document.createElement("a"), { href, hidden: true });
    document.getElementById("view").append(link);
    window.htmx?.process(link);
    link.click();
    link.remove();
  };
  const toDay = ({ day }, x) => day && `${day}&from=${x.slice(0, 10)}&to=${x.slice(0, 10)}`;
  const STACKABLE = ["cost", "tokens", "requests"];
  const leadsTo = {
    models: ({ models }, point) => models[point.pointNumber]?.link,
    latency: (data, point) => toDay(data, point.x),
    ...Object.fromEntries(STACKABLE.map((name) => [name, (data, point) => data.layers?.[point.curveNumber]?.link || toDay(data, point.x)])),
  };
  const MODEL_HINT = "Click a slice to see one model alone", LAYER_HINT = "Click a color to see it alone. Drag to see some days alone";
  const DAY_HINT = "Click to see one day alone. Drag to see some days alone";
  const hint = (name) => name === "models" ? MODEL_HINT : present.layers && STACKABLE.includes(name) ? LAYER_HINT : DAY_HINT;
  // A drag over a chart of several days leads to the days that it touches. A bar stands in the middle of its day.
  const drag = (change) => {
    const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (!from || !present.day) return;
    const half = present.series.x[0].length > 10 ? 0 : 12;
    const day = (moment) => new Date(Date.parse(`${String(moment).slice(0, 19).replace(" ", "T")}Z`) + half * 3_600_000).toISOString().slice(0, 10);
    const days = present.series.x.map((x) => x.slice(0, 10)), inside = days.filter((one) => one >= day(from) && one <= day(to));
    if (inside.length && inside.length < days.length) follow(`${present.day}&from=${inside[0]}&to=${inside.at(-1)}`);
  };
  let tapped = "";
  const click = (plot, { points: [point] }) => {
    const href = point && leadsTo[plot.dataset.chart]?.(present, point);
    const place = `${plot.id} ${point?.x ?? point?.pointNumber}`;
    if (isTouch && tapped !== place) { tapped = place; return; }  // The first tap only shows the figures.
    if (href) follow(href);
  };

  // --- The legends of the rings ----------------------------------------------------------------------------------
  const element = (name, className, textContent = "") => Object.assign(document.createElement(name), { className, textContent });
  // A part whose cost lacks the requests without a price says so.
  const legend = (box, parts, values, unpriced) => {
    const total = sum(values) || 1;
    box.replaceChildren(...parts.map(({ name, link, color, shade }, number) => {
      const item = element("li"), label = element(link ? "a" : "span", "");
      if (link) label.href = link;
      label.append(element("span", `dot ${shade ? `shade-${shade}` : `color-${color}`}`), Object.assign(element("span", "name", name), { title: name }));
      if (unpriced[number]) label.append(Object.assign(element("span", "at-least", "≥"), { title: `without the price of ${count(unpriced[number])} requests` }));
      item.append(label, element("b", "", percent(values[number] / total)));
      return item;
    }));
    window.htmx?.process(box, true);
  };

  // --- The data of a chart as a table ----------------------------------------------------------------------------
  const COLUMNS = {
    cost: [["Cost", "cost", atLeast(exactDollars)]],
    tokens: [["Input", "input", count], ["Cached input", "cached", count], ["Output", "output", count]],
    requests: [["Requests", "requests", count], ["Failed", "errors", count], ["Time-outs", "timeouts", count], ["Error rate", "rate", percent]],
    latency: [["p50", "p50", duration], ["p95", "p95", duration], ["p99", "p99", duration], ["First token", "ttft", duration]],
  };
  const columnsOf = (name) => present.layers && STACKABLE.includes(name)
    ? present.layers.map((layer, number) => [layer.name, number, WRITTEN_EXACTLY[name]])
    : COLUMNS[name];
  const table = (box) => {
    const name = box.dataset.tableOf, columns = columnsOf(name), series = name === "latency" ? present.latency : present.series;
    const column = (key) => typeof key === "number" ? present.layers[key][name] : series[key];
    const unpriced = (key) => (name === "cost" && (present.layers?.[key] ?? series).unpriced) || [];
    if (!series || !box.closest("[open]")) return;
    const head = element("tr"), made = element("table");
    head.append(...["When", ...columns.map(([title]) => title)].map((title) => Object.assign(element("th", "", title), { scope: "col" })));
    made.createTHead().append(head);
    const lines = series.x.map((x, number) => {
      const line = element("tr"), when = Object.assign(element("th"), { scope: "row" }), href = toDay(present, x);
      when.append(href ? Object.assign(element("a", "", x.replace("T", " ")), { href }) : x.replace("T", " "));
      line.append(when, ...columns.map(([, key, write]) => element("td", "", write(column(key)[number], unpriced(key)[number]))));
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
  const drawn = new Map();  // The data that each plot shows, so that unchanged data is not drawn again.
  const chosen = {};
  let present = {};
  const config = { responsive: true, displayModeBar: false };  // chart-files.js saves pictures.
  const asked = new WeakMap();  // The address that was last loaded into each element; a new element has none.
  const isFolded = (element) => element.closest(".fold:not([open])") !== null;
  // A folded part is loaded when it opens, and the slow figures also when a card that tells some of them opens.
  const isWanted = (late) => !isFolded(late) || (late.id === "slow" && document.querySelector(".facts:popover-open [data-later]") !== null);
  const askForMore = () => {
    for (const late of document.querySelectorAll("[data-from]")) {
      if (asked.get(late) === late.dataset.from || !isWanted(late)) continue;
      asked.set(late, late.dataset.from);
      window.htmx?.ajax("GET", late.dataset.from, { source: late, target: late, swap: "innerHTML" });
    }
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
    if (!present[own] || (name === "spread" && !present.spread.bounds)) return;
    if (name === "models") present.models.sort((one, other) => (other.color > 0) - (one.color > 0) || other[measure] - one[measure]);
    const layers = name === "spread" ? present.spread?.layers : STACKABLE.includes(name) ? present.layers : undefined;
    const key = JSON.stringify([revision, theme, measure, present[own], layers, present.before]);
    const isNew = !drawn.has(plot);
    if (drawn.get(plot) !== key) {
      const [traces, shape] = draw[name](present, revision, measure);
      Plotly.react(plot, traces, shape, config);
      drawn.set(plot, key);
      const box = document.getElementById(`legend-${name}`);
      const parts = layers ?? (Array.isArray(present[own]) ? present[own] : []);
      const values = parts.map((part) => layers ? sum(part[name] ?? part.requests) : part[measure ?? "tokens"]);
      if (box) legend(box, parts, values, (measure ?? name) === "cost" ? parts.map(({ unpriced }) => sum([unpriced].flat())) : []);
    }
    if (isNew) {
      plot.on("plotly_click", (event) => click(plot, event));
      plot.on("plotly_relayout", drag);
    }
    const leads = name === "models" || (layers && STACKABLE.includes(name)) || (leadsTo[name] && present.day);
    plot.classList.toggle("leads", Boolean(leads));
    plot.title = leads ? hint(name) : "";
  };
  const render = () => {
    askForMore();
    for (const plot of drawn.keys()) if (!plot.isConnected) { Plotly.purge(plot); drawn.delete(plot); }
    if (!document.getElementById("chart-data")) return;
    present = { ...read("chart-data"), ...read("slow-data") };
    document.body.append(probe);
    // The revision of a plot is the days, the grain and the filters; Plotly keeps the zoom while it is the same.
    const revision = document.getElementById("slow").dataset.from.replace(/&version=.*/, "");
    const theme = colour("--surface-1") + colour("--primary");
    for (const plot of document.querySelectorAll(".plot")) if (!isFolded(plot)) show(plot, revision, theme);
    probe.remove();
    for (const box of document.querySelectorAll("[data-table-of]")) table(box);
    for (const place of document.querySelectorAll("[data-later]")) place.textContent = present.later?.[place.dataset.later] ?? "…";
  };

  const files = document.currentScript.dataset.files;  // the address of chart-files.js
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("[data-save]");
    if (!button) return;
    try {
      (await import(files)).save(button.closest(".chart"), button.dataset.save);
    } catch {
      button.textContent = "Not saved. Try again";  // The network is away, or a new version of the product was installed.
    }
  });
  document.addEventListener("again", ({ target }) => { asked.delete(target); askForMore(); });
  document.addEventListener("htmx:after:swap", render);
  document.addEventListener("themechange", render);
  document.addEventListener("change", ({ target }) => {
    if (!target.name?.startsWith("measure-")) return;
    chosen[target.name.replace("measure-", "")] = target.value;
    render();
  });
  document.addEventListener("toggle", ({ target }) => {
    if (target.matches?.(".chart-table")) table(target.querySelector("[data-table-of]"));
    if (target.matches?.(".facts")) askForMore();
    if (!target.matches?.(".fold[open]")) return;
    render();
    for (const plot of target.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(plot);  // The window may have been turned meanwhile.
  }, true);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", render); else render();
})();
