// Saves a chart as a picture. The picture says itself what it shows: title, days, filters and legend are in it, on the
// ground of the present theme, so that it can be read wherever it is put. charts.js loads this module when somebody saves
// the first chart.
const SIZE = { width: 1000, height: 520 };
const LONGEST = 110;  // A longer line of days and filters would leave the picture.
const MARGIN = { l: 20, r: 28, t: 104, b: 76 };

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const words = (element) => element.textContent.trim().replace(/\s+/g, " ");
const shortened = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);
const ground = (figure) => {
  const probe = Object.assign(document.createElement("i"), { hidden: true });
  probe.style.color = "var(--surface-1)";
  figure.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
};

// The title with the chosen measure, such as "Usage by model: cost".
const titled = (figure) => {
  const measure = figure.querySelector("figcaption input:checked + span");
  return `${words(figure.querySelector("h2"))}${measure ? `: ${words(measure).toLowerCase()}` : ""}`;
};
const filters = () => [...document.querySelectorAll(".chips .chip")].map((chip) =>
  [".chip-name", ".chip-value"].map((part) => words(chip.querySelector(part))).join(" "));

const picture = (figure, plot, { days }) => {
  const { layout, data } = plot, faint = layout.xaxis?.tickfont?.color ?? layout.font.color;
  const isRing = data[0].type === "pie";
  const about = shortened([days, ...filters()].join(" · "));
  return {
    data,
    layout: {
      ...layout, ...SIZE, autosize: false, paper_bgcolor: ground(figure), margin: MARGIN,
      // A heat map's rows are told by its axis.
      showlegend: plot.dataset.chart !== "heat" && (isRing || data.length > 1),
      legend: isRing
        ? { font: { size: 14, color: layout.font.color }, x: 0.72, y: 0.5, yanchor: "middle" }
        : { ...layout.legend, orientation: "h", x: 0, y: -0.12, yanchor: "top" },
      title: {
        text: escaped(titled(figure)), x: 0, xref: "paper", xanchor: "left", y: 0.95, yanchor: "top", font: { size: 20, color: layout.font.color },
        subtitle: { text: escaped(about), font: { size: 13, color: faint } },
      },
    },
  };
};

const fileName = (figure, { range }) => `${titled(figure).toLowerCase().replace(/[^a-z0-9]+/g, "-")}_${range}`;

export const save = (figure, format) => {
  const plot = figure.querySelector(".plot"), about = document.querySelector(".charts[data-days]").dataset;
  if (!plot.data) return;  // A chart that is not there yet cannot be saved.
  Plotly.downloadImage(picture(figure, plot, about), { ...SIZE, format, filename: fileName(figure, about), scale: 2 });
};
