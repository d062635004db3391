// The explorer's state, what it reads of the runs, and how it writes numbers. The data is in the page, made by
// linphase.pages; texts of the user's reach the page as textContent alone, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const rows = data.y.positions.length;
const columns = data.x.positions.length;
const FAMILY = 'system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif';

// Colours of what surrounds the data, as the page has them; a picture and a print are on white paper.
const LIGHT = { paper: "#fff", plot: "#fff", ink: "#1d2530", frame: "#555" };
const themed = () => {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(Object.keys(LIGHT).map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
};
let colors = themed();
const fontOf = (size = 12, color = colors.ink) => ({ family: FAMILY, size, color });
const hoverlabel = { bgcolor: "#fff", bordercolor: LIGHT.ink, font: fontOf(12, LIGHT.ink), align: "left" };

function onPaper(make) {
  const kept = colors;
  colors = LIGHT;
  const made = make();
  colors = kept;
  return made;
}

const state = {
  panel: "regime",
  criterion: data.criterion,
  signalCut: data.signal_cut,
  bulkCut: data.bulk_cut,
  facet: 0,
  cell: 0, // of the keyboard, row * columns + column
  keyboard: false, // whether that one is shown
  chosen: null, // whose run is shown
  run: null,
};

// ---------------------------------------------------------------------------------------------------------- the runs

const read = new Map();
function value(name, run) {
  if (!(name in data.runs)) return null;
  if (!read.has(name)) read.set(name, columnOf(data.runs[name]));
  return read.get(name)(run);
}
const theoryOf = { error: columnOf(data.theory.error), time: columnOf(data.theory.time) };
const place = Object.fromEntries(Object.entries(data.place).map(([name, each]) => [name, columnOf(each)]));

// members[facet][cell]: its runs, one a replicate.
const members = data.lines.map(() => Array.from({ length: rows * columns }, () => []));
for (let run = 0; run < data.count; run += 1) {
  const [x, y, facet] = [place.x(run), place.y(run), place.facet(run)];
  if (x >= 0 && y >= 0 && facet >= 0) members[facet][y * columns + x].push(run);
}

// The cell whose runs a place shows: itself, or its neighbour where nobody asked for a run at the place.
const owners = data.owners.map((lengths) => ownersOf(lengths, rows * columns));
const owner = (cell, facet = state.facet) => (owners[facet][cell] < 0 ? cell : owners[facet][cell]);
const isBeyond = (cell, facet = state.facet) => owners[facet][cell] < 0;
const isCell = (cell, facet = state.facet) => owners[facet][cell] === cell;

// The places of each cell that covers several.
const reaches = owners.map((of) => {
  const found = new Map();
  of.forEach((cell, each) => {
    if (cell < 0 || cell === each) return;
    if (!found.has(cell)) found.set(cell, [cell]);
    found.get(cell).push(each);
  });
  return found;
});
const reach = (cell) => reaches[state.facet].get(cell) ?? [cell];

const nothingAt = (cell) => (isBeyond(cell) ? "no run here" : "not run");

const unfinished = (run) => data.unfinished.includes(value("status", run));
const unconverged = (run) => !unfinished(run) && !data.as_asked.includes(value("status", run));

// A criterion's name, definition, and the columns of its order parameters.
const criterionOf = (name) => data.criteria.find((criterion) => criterion.name === name);

function outcome(run, criterion = state.criterion) {
  const { signal, bulk } = criterionOf(criterion);
  const told = { status: value("status", run), signal: value(signal, run), bulk: value(bulk, run) };
  const [width, rank, noise] = ["width", "rank", "noise"].map((name) => value(name, run));
  return outcomeOf({ ...told, width, rank, noise }, { signal: state.signalCut, bulk: state.bulkCut });
}

const looks = Object.keys(data.looks);
const majority = (words) => majorityOf(words, looks);

// What each place shows, by what its cell's runs do.
const ofPlaces = (facet, ofRuns, missing) => members[facet]
  .map((runs, cell) => (runs.length ? ofRuns(runs) : isBeyond(cell, facet) ? null : missing))
  .map((_, cell, every) => every[owner(cell, facet)]);

const regimes = (facet) => ofPlaces(facet, (runs) => majority(runs.map((run) => outcome(run))), ["missing"]);

// ----------------------------------------------------------------------------------------------------------- writing

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
function written(number, digits = 4) {
  if (typeof number === "string") return number;
  if (typeof number === "boolean") return number ? "yes" : "no";
  if (number === null || number === undefined || Number.isNaN(number)) return "none";
  const size = Math.abs(Number(number.toPrecision(digits)));
  if (size === 0 || (size >= 1e-3 && size < 1e4)) {
    return String(Number(number.toPrecision(digits))).replace("-", "−");
  }
  const [mantissa, exponent] = number.toExponential(digits - 1).split("e");
  const power = `10${[...String(Number(exponent))].map((each) => SUPERSCRIPT[each]).join("")}`;
  const factor = String(Number(mantissa)).replace("-", "−");
  return factor === "1" ? power : `${factor}·${power}`;
}

// A number whose digits all count: a seed, a width.
const whole = (number) => (Number.isSafeInteger(number) ? String(number).replace("-", "−") : written(number));

// A column that is kept to four digits shows no more.
const stored = (name, run) => ("numbers" in data.runs[name] ? written : whole)(value(name, run));

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const label = (name) => data.looks[name]?.label ?? name;

function coordinates(cell) {
  const [x, y] = [data.x.values[cell % columns], data.y.values[Math.floor(cell / columns)]];
  const name = { gamma_sigma2: "γ_σ²", gamma_w: "γ_w" };
  const short = (axis) => name[axis.column] ?? axis.plain;
  const shown = (text) => (Number.isFinite(Number(text)) ? written(Number(text)) : text);
  return `${short(data.x)} = ${shown(x)}, ${short(data.y)} = ${shown(y)}`;
}

const typeset = (text) =>
  text.replaceAll("γ_σ²", "<i>γ</i><sub><i>σ</i>²</sub>").replaceAll("γ_w", "<i>γ<sub>w</sub></i>");

// Markup of <i>, <sub> and <sup> with &lt; for <, as plotly reads it too, as nodes; anything else stays text.
function showTypeset(node, markup) {
  node.replaceChildren();
  let into = node;
  for (const part of markup.split(/(<\/?(?:i|sub|sup)>)/)) {
    const [, end, name] = /^<(\/?)(i|sub|sup)>$/.exec(part) ?? [];
    if (!name) {
      into.append(part.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&"));
    } else if (!end) {
      into.append(tag(name));
      into = into.lastChild;
    } else if (into !== node) {
      into = into.parentNode;
    }
  }
}

function tag(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, each] of Object.entries(attributes)) made.setAttribute(key, each);
  return made;
}

function swatch(name) {
  const marks = {
    diverged: ["×", "#fff"], failed: ["+", "#fff"], missing: ["×", "#767676"], unconverged: ["/", "#000"],
  };
  const made = tag("span", marks[name]?.[0] ?? "", { class: "swatch", "aria-hidden": "true" });
  made.style.backgroundColor = data.looks[name]?.color ?? "#fff";
  if (marks[name]) made.style.color = marks[name][1];
  return made;
}
