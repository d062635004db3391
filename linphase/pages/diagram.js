// The diagram of the chosen panel: its traces, theory's lines and their names, its key, and the counts below it.

const panelOf = (name) => data.panels.find((panel) => panel.name === name);

// What the cells of the chosen panel show: numbers and their scale, and the outcomes of those without a number.
const kept = new Map();
function shownCells() {
  const { panel: name, facet } = state;
  if (name === "regime") return { numbers: null, scale: null, outcomes: regimes(facet) };
  const panel = panelOf(name);
  const { column, scale } = panel.by[state.criterion] ?? Object.values(panel.by)[0];
  const key = JSON.stringify([name, column, facet]);
  if (!kept.has(key)) {
    const rule = { unfinished: data.unfinished, order: looks, panel };
    const ofRuns = (runs) =>
      shownOf(runs.map((run) => value(column, run)), runs.map((run) => value("status", run)), rule);
    const shown = ofPlaces(facet, ofRuns, { number: null, words: ["missing"] });
    const numbers = scale ? shown.map((each) => each?.number ?? null) : null;
    kept.set(key, { numbers, scale, outcomes: shown.map((each) => each?.words ?? null) });
  }
  return kept.get(key);
}

const grid = (list) => Array.from({ length: rows }, (_, row) => list.slice(row * columns, (row + 1) * columns));

function middle(cell) {
  return [data.x.positions[cell % columns], data.y.positions[Math.floor(cell / columns)]];
}

// What is told of a cell where the mouse rests, line by line, the first one typeset.
function hoverLines(cell, shown) {
  const runs = members[state.facet][cell];
  const lines = [typeset(escaped(coordinates(cell)))];
  if (!runs.length) return [...lines, nothingAt(cell)];
  const first = runs[0];
  lines.push(`width ${whole(value("width", first))}, c = ${written(value("threshold", first))}`);
  lines.push(`regime: ${majority(runs.map((run) => outcome(run))).map(label).join(" = ")}`);
  if (shown.numbers) {
    const number = shown.numbers[cell];
    const panel = panelOf(state.panel);
    const said = number === null ? nameOf(shown.outcomes[cell]) : `${written(number)} ${panel.unit}`;
    lines.push(escaped(`${panel.title}: ${said}`));
  }
  const mean = (name) => {
    const given = runs.map((run) => value(name, run)).filter((each) => each !== null);
    return given.length ? given.reduce((sum, each) => sum + each, 0) / given.length : null;
  };
  const [signal, bulk] = ["signal", "bulk"].map((which) => written(mean(criterionOf(state.criterion)[which]), 3));
  lines.push(`active: ${signal} of the signal, ${bulk} of the bulk`);
  if (state.panel !== "test-error") lines.push(`smallest test error: ${written(mean("min_test_error"))}`);
  const statuses = escaped([...new Set(runs.map((run) => value("status", run)))].map(label).join(", "));
  return [...lines, runs.length > 1 ? `mean of ${runs.length} replicates: ${statuses}` : statuses];
}

function showTip(cell, { clientX, clientY }) {
  const tip = element("tip");
  tip.replaceChildren(...hoverLines(owner(cell), shownCells()).map((line) => {
    const made = tag("div");
    showTypeset(made, line);
    return made;
  }));
  tip.hidden = false;
  const fits = (at, length, room) => (at + 14 + length > room ? at - 14 - length : at + 14);
  tip.style.left = `${Math.max(0, fits(clientX, tip.offsetWidth, innerWidth))}px`;
  tip.style.top = `${Math.max(0, fits(clientY, tip.offsetHeight, innerHeight))}px`;
}

// A cell without a number; "no value" means something for times.
function nameOf(words) {
  if (!words) return "none";
  const { null: meaning } = panelOf(state.panel);
  return words.map((word) => (word === "undefined" && meaning ? meaning : label(word))).join(" = ");
}

function diagramTraces(shown) {
  const cells = Array.from({ length: rows * columns }, (_, cell) => cell);
  return [
    outcomeTrace(shown), ...numberTraces(shown), ...levelTraces(shown), ...tieTraces(shown), ...markTraces(shown),
    ...lineTraces(),
    {
      // On top of everything, invisible: what the mouse finds. What it says is written where it rests, not before.
      type: "heatmap", x: data.x.edges, y: data.y.edges, z: grid(cells), zsmooth: false, name: "cells",
      colorscale: [[0, "rgba(0,0,0,0)"], [1, "rgba(0,0,0,0)"]], showscale: false, hoverinfo: "none",
    },
  ];
}

// The frame is the same in every panel: where no colour bar is, the diagram is shorter by its height.
const BAR = 52;
function diagramLayout() {
  const box = element("diagram");
  const names = placedNames(box.clientWidth, box.clientHeight);
  return {
    width: box.clientWidth, height: box.clientHeight, margin: names.margin, font: fontOf(), showlegend: false,
    paper_bgcolor: colors.paper, plot_bgcolor: colors.plot, dragmode: false, hovermode: "closest", hoverlabel,
    xaxis: axisLayout(data.x), yaxis: axisLayout(data.y), annotations: names.texts,
    shapes: [...frames(), ...names.leaders],
  };
}

function drawDiagram() {
  const shown = shownCells();
  element("diagram").classList.toggle("bare", !shown.scale);
  Plotly.react("diagram", diagramTraces(shown), diagramLayout(), config);
  drawKey(shown);
  const panel = panelOf(state.panel);
  const title = [escaped(panel.title), panel.formula].filter(Boolean).join(", ");
  showTypeset(element("panel-title"), state.panel === "regime" ? regimeTitle() : title);
  element("panel-title").title = data.columns[panel.column]?.meaning ?? "";
}

const config = {
  displaylogo: false, displayModeBar: false, scrollZoom: false, doubleClick: false,
};
const regimeTitle = () => `regime; a mode is active where ${criterionOf(state.criterion).definition}`;

function axisLayout(axis) {
  const range = [axis.edges[0], axis.edges[axis.edges.length - 1]];
  const layout = {
    type: axis.logarithmic ? "log" : "linear", fixedrange: true,
    range: axis.logarithmic ? range.map(Math.log10) : range, showgrid: false, zeroline: false,
    ticks: "outside", ticklen: 4, linecolor: colors.frame, tickcolor: colors.frame, mirror: true, showline: true,
    exponentformat: "power",
  };
  if (!axis.few) return { ...layout, nticks: 8 };
  return { ...layout, tickvals: axis.positions, ticktext: axis.values.map(escaped) };
}

function outcomeTrace({ outcomes }) {
  const colors = looks.flatMap((name, i) => [
    [i / looks.length, data.looks[name].color], [(i + 1) / looks.length, data.looks[name].color],
  ]);
  const codes = outcomes.map((words) => (words ? looks.indexOf(words[0]) : null));
  return {
    type: "heatmap", x: data.x.edges, y: data.y.edges, z: grid(codes),
    zmin: -0.5, zmax: looks.length - 0.5, colorscale: colors, showscale: false, zsmooth: false, hoverinfo: "skip",
    name: "outcomes",
  };
}

function numberTraces({ numbers, scale }) {
  if (!scale) return [];
  const { low, high, logarithmic } = scale;
  const [bottom, top] = logarithmic ? [Math.log10(low), Math.log10(high)] : [low, high];
  // A zero has no place on a log scale: it takes the lowest colour.
  const z = numbers.map((each) => (each === null || !logarithmic ? each : each > 0 ? Math.log10(each) : bottom));
  const places = ticks(low, high, logarithmic);
  const colorbar = {
    orientation: "h", thickness: 10, len: 1, x: 0, xanchor: "left", xpad: 0, y: 0, yref: "container", ypad: 0,
    yanchor: "bottom", outlinewidth: 0.5, ticks: "outside", ticklen: 3, tickcolor: colors.frame,
    tickvals: logarithmic ? places.map(Math.log10) : places, ticktext: places.map((each) => written(each)),
  };
  return [{
    type: "heatmap", x: data.x.edges, y: data.y.edges, z: grid(z), zmin: bottom, zmax: top, colorscale: scale.colors,
    colorbar, zsmooth: false, hoverinfo: "skip", name: "numbers",
  }];
}

// The levels that a panel declares, as steps along the edges of cells: white in a dark rim.
const levelsIn = (scale) => panelOf(state.panel).levels.filter((level) => scale.low < level && level < scale.high);
function levelTraces({ numbers, scale }) {
  if (!scale) return [];
  const edges = levelsIn(scale).flatMap((level) => levelEdges(numbers, level, data.x.edges, data.y.edges));
  if (!edges.length) return [];
  const [x, y] = [0, 1].map((axis) => edges.flatMap(([from, to]) => [from[axis], to[axis], null]));
  const drawn = { type: "scatter", mode: "lines", x, y, hoverinfo: "skip" };
  return [
    { ...drawn, line: { color: "#404040", width: 3 }, name: "levels' rim" },
    { ...drawn, line: { color: "#fff", width: 1.6 }, name: "levels" },
  ];
}

function ticks(low, high, logarithmic) {
  const inside = (each) => each >= low * (1 - 1e-9) - 1e-300 && each <= high * (1 + 1e-9);
  if (logarithmic) {
    const [bottom, top] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
    const powers = Array.from({ length: top - bottom + 1 }, (_, i) => bottom + i);
    const every = Math.max(1, Math.ceil(powers.length / 7));
    const factors = high < 50 * low ? [1, 2, 5] : [1];
    const kept = powers.filter((_, i) => i % every === 0);
    return kept.flatMap((power) => factors.map((each) => each * 10 ** power)).filter(inside);
  }
  const rough = (high - low) / 6 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= rough * (1 - 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.max(0, Math.floor(high / step + 1e-9) - first + 1);
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

// The shorter side of a place or, of a cell that covers several, of what it covers along its row and its column.
const cellSize = (cell) => {
  const box = element("diagram");
  const [row, column] = [Math.floor(cell / columns), cell % columns];
  const places = reach(cell);
  const across = places.filter((place) => Math.floor(place / columns) === row).length;
  const up = places.filter((place) => place % columns === column).length;
  return Math.min((across * (box.clientWidth - 100)) / columns, (up * (box.clientHeight - 60)) / rows);
};

const markers = (cells, marker, name) => ({
  type: "scatter", mode: "markers", x: cells.map((cell) => middle(cell)[0]), y: cells.map((cell) => middle(cell)[1]),
  marker, hoverinfo: "skip", name,
});

// A tie has the colour of the second outcome as a triangle on that of the first.
function tieTraces({ outcomes }) {
  const cells = outcomes.flatMap((words, cell) => (words && words.length > 1 && isCell(cell) ? [cell] : []));
  if (!cells.length) return [];
  const size = cells.map((cell) => Math.max(4, 0.7 * cellSize(cell)));
  const color = cells.map((cell) => data.looks[outcomes[cell][1]].color);
  return [markers(cells, { symbol: "triangle-ne", size, color }, "ties")];
}

function hatched({ numbers }) {
  const strayed = members[state.facet].flatMap((runs, cell) => (runs.some(unconverged) ? [cell] : []));
  if (state.panel === "status") return { strayed: [], all: false };
  const given = numbers ? numbers.filter((each, cell) => each !== null && owner(cell) === cell).length : 0;
  // Hatching every number would only hide them: the key says so.
  return given && strayed.length === given ? { strayed: [], all: true } : { strayed, all: false };
}

function markTraces(shown) {
  const sizes = (cells, more = 0) => cells.map((cell) => Math.min(10, Math.max(3, 0.5 * cellSize(cell))) + more);
  const found = [];
  const marks = { diverged: ["x-thin", "#fff"], failed: ["cross-thin", "#fff"], missing: ["x-thin", "#8a8a8a"] };
  for (const [name, [symbol, color]] of Object.entries(marks)) {
    const cells = shown.outcomes.flatMap(
      (words, cell) => (words?.length === 1 && words[0] === name && isCell(cell) ? [cell] : []));
    if (cells.length) found.push(markers(cells, { symbol, size: sizes(cells), line: { color, width: 1 } }, name));
  }
  const { strayed } = hatched(shown);
  if (strayed.length) {
    for (const [color, width] of [["#fff", 3], ["#000", 1.2]]) {
      const marker = { symbol: "line-ne", size: sizes(strayed, 1), line: { color, width } };
      found.push(markers(strayed, marker, "unconverged"));
    }
  }
  return found;
}

function lineTraces() {
  return data.lines[state.facet].flatMap((line) => {
    const dash = !line.bounds ? "1.5px,3px" : line.asymptotic ? "6px,4px" : "solid";
    const asymptotic = line.asymptotic ? "asymptotic" : "finite d";
    const width = !line.bounds ? 1.2 : line.asymptotic ? 1.4 : 1.9;
    const drawn = { type: "scatter", mode: "lines", x: line.x, y: line.y, hoverinfo: "skip" };
    return [
      { ...drawn, line: { color: "rgba(255,255,255,0.8)", width: width + 2 }, name: "halo" },
      { ...drawn, line: { color: "#000", width, dash }, name: `${line.name}, ${asymptotic}` },
    ];
  });
}

// The chosen cell has a solid frame, the one of the keyboard a dashed one while it is used.
function frames() {
  const frame = (cell, color, width, dash, name) => {
    const drawn = { line: { color, width, dash }, visible: cell !== null, name };
    const places = reach(cell);
    if (places.length > 1) return { type: "path", path: outline(places), ...drawn };
    const [column, row] = [cell % columns, Math.floor(cell / columns)];
    const [[x0, x1], [y0, y1]] = [data.x.edges.slice(column, column + 2), data.y.edges.slice(row, row + 2)];
    return { type: "rect", x0, x1, y0, y1, ...drawn };
  };
  const focused = state.keyboard ? owner(state.cell) : null;
  return [
    frame(state.chosen, "#fff", 5, "solid", "chosen halo"), frame(state.chosen, "#000", 2.5, "solid", "chosen"),
    frame(focused, "#fff", 5, "solid", "focus halo"), frame(focused, "#000", 3, "3px,3px", "focus"),
  ];
}

// The sides of places on which no other one of them lies.
function outline(places) {
  const among = new Set(places);
  return places.flatMap((place) => {
    const [column, row] = [place % columns, Math.floor(place / columns)];
    const [[x0, x1], [y0, y1]] = [data.x.edges.slice(column, column + 2), data.y.edges.slice(row, row + 2)];
    const sides = [
      [column > 0 ? place - 1 : -1, [x0, y0, x0, y1]], [column < columns - 1 ? place + 1 : -1, [x1, y0, x1, y1]],
      [place - columns, [x0, y0, x1, y0]], [place + columns, [x0, y1, x1, y1]],
    ];
    return sides.filter(([other]) => !among.has(other)).map(([, [a, b, c, d]]) => `M${a},${b}L${c},${d}`);
  }).join("");
}

const moveFrames = () => {
  const { clientWidth, clientHeight } = element("diagram");
  Plotly.relayout("diagram", { shapes: [...frames(), ...placedNames(clientWidth, clientHeight).leaders] });
};

function drawKey(shown) {
  const key = element("key");
  key.replaceChildren();
  const entry = (...parts) => {
    const made = tag("span", "", { class: "entry" });
    made.append(...parts);
    key.append(made);
  };
  const words = shown.outcomes.flatMap((each) => each ?? []);
  for (const name of looks.filter((each) => words.includes(each))) {
    entry(swatch(name), shown.numbers ? nameOf([name]) : label(name));
  }
  const { strayed, all } = hatched(shown);
  if (strayed.length) entry(swatch("unconverged"), `unconverged (${strayed.length})`);
  if (all) entry("no cell converged");
  if (shown.outcomes.some((each) => each && each.length > 1)) entry("◥ tie");
  const levels = shown.scale ? levelsIn(shown.scale) : [];
  const steps = levels.map((each) => written(each)).join(", ");
  if (levels.length) entry(tag("span", "", { class: "stroke step" }), `steps at ${steps}`);
  const drawn = new Set(data.lines[state.facet].map((line) => line.asymptotic));
  const [rows, columns] = data.lines[state.facet][0]?.shape ?? [];
  const size = rows === undefined ? "finite d" : rows === columns ? `d = ${columns}` : `${rows} x ${columns}`;
  if (drawn.has(false)) entry(tag("span", "", { class: "stroke" }), `theory, ${size}`);
  if (drawn.has(true)) entry(tag("span", "", { class: "stroke dashed" }), "theory, d → ∞");
}

// -------------------------------------------------------------------------------------------------------- the counts

function drawCounts() {
  const cells = new Map();
  for (const [cell, words] of regimes(state.facet).entries()) {
    if (!words || !isCell(cell)) continue;
    const name = words.length > 1 ? "tie" : words[0];
    cells.set(name, (cells.get(name) ?? 0) + 1);
  }
  const runs = new Map();
  for (const run of members[state.facet].flat()) runs.set(outcome(run), (runs.get(outcome(run)) ?? 0) + 1);
  const table = tag("table");
  const cuts = `signal cut ${written(state.signalCut)}, bulk cut ${written(state.bulkCut)}`;
  table.append(tag("caption", `Regimes by ${state.criterion}, ${cuts}`));
  const head = tag("thead");
  const titles = tag("tr");
  titles.append(...["regime", "cells", "runs"].map((text) => tag("th", text, { scope: "col" })));
  head.append(titles);
  const body = tag("tbody");
  for (const name of [...data.outcomes, "tie", "missing"]) {
    if (!cells.has(name) && !runs.has(name) && !data.regimes.includes(name)) continue;
    const row = tag("tr", "", { "data-outcome": name });
    const head = tag("th", "", { scope: "row" });
    head.append(...(name === "tie" ? ["◥ tie"] : [swatch(name), label(name)]));
    row.append(head, tag("td", String(cells.get(name) ?? 0), { class: "number" }),
      tag("td", String(runs.get(name) ?? 0), { class: "number" }));
    body.append(row);
  }
  table.append(head, body);
  const place = element("counts");
  if (place.innerHTML !== table.outerHTML) place.replaceChildren(table); // silence where nothing changed
}
