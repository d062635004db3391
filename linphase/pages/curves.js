// The chosen run over time. Measured: solid. Theory: dashed. The threshold: dotted.

function trajectory(run) {
  const packed = data.trajectories[run];
  if (!packed) return null;
  const { modes, of, moments, balanced, numbers: text } = packed;
  const numbers = Array.from(numbersOf(text));
  let from = 0;
  const take = (count) => numbers.slice(from, (from += count));
  const series = (count) => Array.from({ length: count }, () => take(moments));
  const [time, train, test] = series(3);
  const values = series(modes.length);
  const balance = modes.map(() => Array(moments).fill(NaN));
  modes.forEach((_, i) => take(balanced.length).forEach((each, k) => { balance[i][balanced[k]] = each; }));
  const found = { modes, of, time, train, test, values, balance, theory: null };
  if (from === numbers.length) return found;
  const [c, clock] = [value("threshold", run), value("richness", run) ?? 1];
  const [trains, tests] = series(2);
  const ofTheory = take(modes.length).map((S) => time.map((t) => modeFromZero(t / clock, S, c)));
  const balances = ofTheory.map((each) => each.map((s) => s / Math.hypot(s, c)));
  return { ...found, theory: { train: trains, test: tests, values: ofTheory, balance: balances } };
}

// How many of its modes are shown: "signal: 4 of 4 modes, bulk: 5 of 60 modes".
function toldModes(run, { modes, of }) {
  const rank = Math.min(value("rank", run) ?? 0, of);
  const signals = modes.filter((mode) => mode < rank).length;
  const told = (name, shown, all) => (all ? [`${name}: ${shown} of ${all} modes`] : []);
  return [...told("signal", signals, rank), ...told("bulk", modes.length - signals, of - rank)].join(", ");
}

const RANKS = ["signal", "bulk", "train error", "test error", "theory"];
const MEASURED = 0.6; // opacity, so that theory's black dashes stay legible on it
const DASHED = { color: "#000", width: 1.1, dash: "4px,3px" };

function choose(place, run = null) {
  const cell = owner(place);
  state.chosen = cell;
  state.cell = cell;
  const runs = members[state.facet][cell];
  state.run = runs.includes(run) ? run : runs.find((each) => data.trajectories[each]) ?? runs[0] ?? null;
  const select = element("replicate");
  select.replaceChildren(...runs.map((each) => tag("option", written(value("replicate", each)), { value: each })));
  if (state.run !== null) select.value = String(state.run);
  select.disabled = runs.length < 2;
  moveFrames();
  tellCell();
  drawRun();
}

function drawRun() {
  const run = state.run;
  const where = coordinates(state.chosen);
  const start = `(width ${whole(value("width", run))}, c = ${written(value("threshold", run))})`;
  showTypeset(element("cell-title"), typeset(escaped(run === null ? where : `${where} ${start}`)));
  const path = run === null ? null : trajectory(run);
  element("note").textContent = path ? toldModes(run, path) : whyNothing(run);
  element("curves").hidden = !path;
  drawNumbers(run, path);
  if (path) drawCurves(run, path);
  else Plotly.purge("curves");
}

function whyNothing(run) {
  if (run === null && isBeyond(state.chosen)) return "No run lies here.";
  if (run === null) return "This cell has not been run.";
  if (value("status", run) === "failed") return `This run failed: ${data.errors[run] || "no reason is stored"}`;
  return "Of this replicate the page keeps no trajectory, for lack of space.";
}

function curveTraces(run, path) {
  const rank = value("rank", run);
  const theory = element("show-theory").checked ? path.theory : null;
  const traces = [];
  // Mode balance is measured at few of the moments: those are marked, and straight lines join them.
  const marks = (y) => (path.time.length < 2 ? "markers" : y.some(Number.isNaN) ? "lines+markers" : "lines");
  const curve = (y, name, group, line, yaxis, first) => traces.push({
    type: "scatter", mode: marks(y), connectgaps: true, marker: { size: 5 }, x: path.time, y,
    name: first ? group : name, legendgroup: group, showlegend: first, legendrank: RANKS.indexOf(group), line, yaxis,
    opacity: line.dash ? 1 : MEASURED, hovertemplate: `${name}: %{y:.4~g} at time %{x:.3~g}<extra></extra>`,
  });
  const groups = new Set();
  const modes = (set, axis, isTheory) => path.modes.map((mode, i) => [mode, i]).reverse().forEach(([mode, i]) => {
    const kind = mode < rank ? "signal" : "bulk";
    const group = isTheory ? "theory" : kind;
    const line = isTheory ? DASHED : { color: data.curves[kind], width: mode < rank ? 3 : 2 };
    curve(set[i], `${kind} mode ${mode + 1}${isTheory ? ", theory" : ""}`, group, line, axis, !groups.has(group));
    groups.add(group);
  });
  modes(path.values, "y", false);
  modes(path.balance, "y2", false);
  curve(path.train, "train error", "train error", { color: data.curves.train, width: 3 }, "y3", true);
  curve(path.test, "test error", "test error", { color: data.curves.test, width: 3 }, "y3", true);
  if (theory) {
    modes(theory.values, "y", true);
    modes(theory.balance, "y2", true);
    curve(theory.train, "train error, theory", "theory", DASHED, "y3", false);
    curve(theory.test, "test error, theory", "theory", DASHED, "y3", false);
  }
  return traces;
}

const BASELINES = { "optimal shrinkage": "optimal_test_error", "lazy limit": "lazy_test_error" };
function levelsOfCurves(run, ends) {
  const c = value("threshold", run);
  const level = (y, yaxis, text, line, showlegend) => ({
    type: "scatter", mode: "lines", x: ends, y: [y, y], yaxis, name: text, showlegend, line,
    hovertemplate: `${text}<extra></extra>`,
  });
  const dotted = { color: data.curves.threshold, width: 1.8, dash: "1.8px,2.6px" };
  const faint = { color: data.curves.test, width: 1, dash: "1px,4px" };
  return [
    level(c, "y", `c = ${written(c)}`, dotted, true),
    level(Math.SQRT1_2, "y2", "1/√2: theory's where the singular value is c", dotted, false), // s/√(s² + c²)
    ...baselinesOf(run).map(([name, error]) =>
      level(error, "y3", `test error by ${name}: ${written(error)}`, faint, false)),
  ];
}

// What the test error is to be held against; results of before do not have it.
const baselinesOf = (run) => Object.entries(BASELINES).map(([name, column]) => [name, value(column, run)])
  .filter(([, error]) => Number.isFinite(error));

// The moments in view, and whether their logarithms are drawn.
function spanOf(path) {
  const logTime = element("log-time").checked && new Set(path.time.filter((each) => each > 0)).size > 1;
  const span = path.time.filter((each) => !logTime || each > 0);
  return { logTime, ends: [span[0], span.at(-1)] };
}

function curvesLayout(run, path) {
  const { logTime, ends } = spanOf(path);
  const log = element("log-values").checked;
  const theory = element("show-theory").checked ? path.theory : null;
  const shownValues = [...path.values, ...(theory ? theory.values : [])].flat();
  const shownErrors = [path.train, path.test, ...(theory ? [theory.train, theory.test] : [])].flat();
  const baselines = baselinesOf(run);
  const axis = (title, domain, more) => ({
    title: { text: title, standoff: 4 }, domain, linecolor: colors.frame, tickcolor: colors.frame, mirror: true,
    showline: true, zeroline: false, gridcolor: "#d9dce0", ticks: "outside", ticklen: 3, exponentformat: "power",
    fixedrange: true, ...more,
  });
  const { clientWidth: width, clientHeight: height } = element("curves");
  const errors = valueRange(shownErrors, baselines.map(([, error]) => error), log, 1e-8);
  const named = ([name, error], i) => ({
    xref: "x domain", x: 0.01 + 0.32 * i, xanchor: "left",
    yref: "y3", y: errors.type === "log" ? Math.log10(error) : error,
    yanchor: "top", text: name, showarrow: false, font: fontOf(10, data.curves.test), borderpad: 0,
  });
  return {
    width, height, margin: { l: 62, r: 8, t: width < 560 ? 54 : 34, b: 40, autoexpand: false }, font: fontOf(),
    hovermode: "closest",
    dragmode: false, hoverlabel, paper_bgcolor: colors.paper, plot_bgcolor: colors.plot,
    annotations: baselines.map(named),
    legend: {
      orientation: "h", x: 0, yref: "container", y: 1, yanchor: "top", bgcolor: colors.plot,
      font: fontOf(11, LIGHT.ink),
      itemwidth: 30, tracegroupgap: 0,
    },
    xaxis: axis("time", [0, 1], {
      anchor: "y3", mirror: "all", type: logTime ? "log" : "linear", nticks: 8,
      ...(ends[0] === ends[1] ? {} : { range: logTime ? ends.map(Math.log10) : ends }),
      ...(logTime ? logTicks(...ends) : {}),
    }),
    yaxis: axis("singular values", [0.6, 1], valueRange(shownValues, [value("threshold", run)], log, 1e-6)),
    yaxis2: axis("balance", [0.32, 0.55], { range: [-0.03, 1.03], dtick: 0.5 }),
    yaxis3: axis("errors", [0, 0.27], errors),
  };
}

const drawCurves = (run, path) => Plotly.react(
  "curves", [...curveTraces(run, path), ...levelsOfCurves(run, spanOf(path).ends)], curvesLayout(run, path), config);

function logTicks(low, high) {
  const tickvals = ticks(low, high, true);
  return { tickvals, ticktext: tickvals.map((each) => written(each)) };
}

// A log axis over the positive values, down to `depth` of the largest at most; `whole` is in view in any case.
function valueRange(values, whole, log, depth) {
  const finite = values.filter(Number.isFinite);
  const positive = finite.filter((each) => each > 0);
  if (!log || !positive.length) return { type: "linear", rangemode: "tozero", autorange: true };
  const top = positive.reduce((a, b) => Math.max(a, b));
  const bottom = Math.max(positive.reduce((a, b) => Math.min(a, b)), depth * top);
  const logs = [top, bottom, ...whole.filter((each) => each > 0)].map(Math.log10);
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const margin = Math.max(0.1, 0.04 * (high - low));
  const range = [low - margin, high + margin];
  return { type: "log", range, autorange: false, ...logTicks(10 ** range[0], 10 ** range[1]) };
}

function drawNumbers(run, path) {
  const table = element("numbers");
  table.replaceChildren();
  element("columns").replaceChildren();
  if (run === null) return;
  const line = (name, ...numbers) => {
    const row = tag("tr");
    row.append(tag("th", name, { scope: "row" }), ...numbers.map((each) => tag("td", each, { class: "number" })));
    table.append(row);
  };
  const head = tag("tr");
  head.append(tag("th", ""), tag("th", "run"), tag("th", "theory from A = 0"));
  const thead = tag("thead");
  thead.append(head);
  table.append(thead);
  const theory = [theoryOf.error(run), theoryOf.time(run)];
  const ended = (error) => (path?.theory ? written(path.theory[error].at(-1)) : "");
  line("status", label(value("status", run)));
  for (const { name } of data.criteria) line(`regime by ${name}`, label(outcome(run, name)));
  line("smallest test error", written(value("min_test_error", run)), theory[0] === null ? "" : written(theory[0], 3));
  line("at time", written(value("time_at_min", run)), theory[1] === null ? "" : written(theory[1], 2));
  line("test error at the end", written(value("final_test_error", run)), ended("test"));
  line("train error at the end", written(value("final_train_error", run)), ended("train"));
  const all = element("columns");
  for (const name of Object.keys(data.runs)) {
    const row = tag("tr", "", { title: data.columns[name]?.meaning ?? "" });
    const unit = data.columns[name]?.unit ?? "";
    row.append(tag("th", name, { scope: "row" }), tag("td", stored(name, run)), tag("td", unit));
    all.append(row);
  }
}

// What a reader of the screen hears of the cell under the keyboard.
function tellCell() {
  const cell = owner(state.cell);
  const runs = members[state.facet][cell];
  const words = runs.length ? majority(runs.map((run) => outcome(run))).map(label).join(" = ") : nothingAt(cell);
  const shown = shownCells();
  const number = shown.numbers ? shown.numbers[cell] : null;
  const said = number === null ? nameOf(shown.outcomes[cell]) : written(number);
  const what = shown.numbers ? `; ${panelOf(state.panel).title}: ${said}` : "";
  const text = `${coordinates(cell)}: ${words}${what}. Arrow keys move, Enter shows.`;
  if (element("here").textContent !== text) element("here").textContent = text; // silence where nothing changed
}
