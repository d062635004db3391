// The explorer: what is chosen, what follows from it, and drawing both. The data is in the page, made by
// linphase.pages; texts of the user's reach the page as textContent alone, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (id) => document.getElementById(id);
  const rows = data.y.positions.length;
  const columns = data.x.positions.length;
  const font = { family: 'system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif', size: 12, color: "#1d2530" };
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

  // ------------------------------------------------------------------------------------------------- the runs

  const value = (name, run) => {
    const column = data.runs[name];
    if (column === undefined) return null;
    return "all" in column ? column.all : column.each[run];
  };

  // members[facet][cell]: its runs, one a replicate.
  const members = data.lines.map(() => Array.from({ length: rows * columns }, () => []));
  for (let run = 0; run < data.count; run += 1) {
    const [x, y, facet] = [data.place.x[run], data.place.y[run], data.place.facet[run]];
    if (x >= 0 && y >= 0 && facet >= 0) members[facet][y * columns + x].push(run);
  }

  // The cell whose runs a place shows: itself, or its neighbour where nobody asked for a run at the place.
  const owner = (cell, facet = state.facet) => data.stand_ins[facet][cell] ?? cell;
  const beyond = data.beyond.map((places) => new Set(places));
  const isCell = (place, facet = state.facet) => owner(place, facet) === place && !beyond[facet].has(place);

  // The places of each cell that covers several.
  const reaches = data.stand_ins.map((covers) => {
    const found = new Map();
    for (const [place, cell] of Object.entries(covers)) {
      if (!found.has(cell)) found.set(cell, [cell]);
      found.get(cell).push(Number(place));
    }
    return found;
  });
  const reach = (cell) => reaches[state.facet].get(cell) ?? [cell];

  const nothingAt = (place) => (beyond[state.facet].has(place) ? "no run here" : "not run");

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

  const regimes = (facet) =>
    members[facet].map((runs, place) => {
      if (runs.length) return majority(runs.map((run) => outcome(run)));
      return beyond[facet].has(place) ? null : ["missing"];
    }).map((words, place, every) => every[owner(place, facet)]);

  // -------------------------------------------------------------------------------------------------- writing

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

  // ----------------------------------------------------------------------------------------------- the diagram

  const panelOf = (name) => data.panels.find((panel) => panel.name === name);

  // What the cells of the chosen panel show: numbers and their scale, and the outcomes of those without a number.
  function shownCells() {
    if (state.panel === "regime") return { numbers: null, scale: null, outcomes: regimes(state.facet) };
    const { by } = panelOf(state.panel);
    const drawn = by[state.criterion] ?? Object.values(by)[0];
    const { numbers, outcomes } = drawn.cells[state.facet];
    const words = Array.from({ length: rows * columns }, (_, cell) => outcomes[cell] ?? null);
    return { numbers, scale: drawn.scale ?? null, outcomes: words };
  }

  const grid = (list) => Array.from({ length: rows }, (_, row) => list.slice(row * columns, (row + 1) * columns));

  function middle(cell) {
    return [data.x.positions[cell % columns], data.y.positions[Math.floor(cell / columns)]];
  }

  function hoverText(cell, shown) {
    const runs = members[state.facet][cell];
    const lines = [`<b>${typeset(escaped(coordinates(cell)))}</b>`];
    if (!runs.length) return [...lines, nothingAt(cell)].join("<br>");
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
    const statuses = [...new Set(runs.map((run) => value("status", run)))].map(label).join(", ");
    lines.push(runs.length > 1 ? `mean of ${runs.length} replicates: ${escaped(statuses)}` : escaped(statuses));
    return lines.join("<br>");
  }

  // A cell without a number; "no value" means something for times.
  function nameOf(words) {
    if (!words) return "none";
    const { null: meaning } = panelOf(state.panel);
    return words.map((word) => (word === "undefined" && meaning ? meaning : label(word))).join(" = ");
  }

  function drawDiagram() {
    const shown = shownCells();
    const traces = [outcomeTrace(shown), ...numberTraces(shown), ...tieTraces(shown), ...markTraces(shown)];
    traces.push(...lineTraces());
    const cells = Array.from({ length: rows * columns }, (_, cell) => cell);
    const texts = cells.map((cell) => (owner(cell) === cell ? hoverText(cell, shown) : null));
    traces.push({
      // On top of everything, invisible: what the mouse finds.
      type: "heatmap", x: data.x.edges, y: data.y.edges, z: grid(cells), zsmooth: false, name: "cells",
      colorscale: [[0, "rgba(0,0,0,0)"], [1, "rgba(0,0,0,0)"]], showscale: false,
      text: grid(cells.map((cell) => texts[owner(cell)])), hovertemplate: "%{text}<extra></extra>",
    });
    const layout = {
      margin: { l: 58, r: 8, t: 8, b: 48 }, font, showlegend: false, dragmode: false, hovermode: "closest",
      hoverlabel: { bgcolor: "#fff", bordercolor: "#1d2530", font: { ...font, size: 12 }, align: "left" },
      xaxis: axisLayout(data.x), yaxis: axisLayout(data.y), annotations: lineNames(), shapes: frames(),
    };
    Plotly.react("diagram", traces, layout, config).then(nameLines);
    drawKey(shown);
    const panel = panelOf(state.panel);
    const meaning = data.columns[panel.column]?.meaning;
    const title = [escaped(panel.title), panel.formula].filter(Boolean).join(", ");
    showTypeset(element("panel-title"), state.panel === "regime" ? regimeTitle() : title);
    element("panel-title").title = meaning ?? "";
  }

  const config = {
    responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false, doubleClick: false,
  };
  const regimeTitle = () => `regime; a mode is active where ${criterionOf(state.criterion).definition}`;

  function axisLayout(axis) {
    const range = [axis.edges[0], axis.edges[axis.edges.length - 1]];
    const layout = {
      title: { text: axis.label, standoff: 6 }, type: axis.logarithmic ? "log" : "linear", fixedrange: true,
      range: axis.logarithmic ? range.map(Math.log10) : range, showgrid: false, zeroline: false,
      ticks: "outside", ticklen: 4, linecolor: "#555", mirror: true, showline: true, exponentformat: "power",
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
      thickness: 12, len: 1, outlinewidth: 0.5, ticks: "outside", ticklen: 3, xpad: 4,
      title: { text: panelOf(state.panel).symbol, side: "right" },
      tickvals: logarithmic ? places.map(Math.log10) : places, ticktext: places.map((each) => written(each)),
    };
    return [{
      type: "heatmap", x: data.x.edges, y: data.y.edges, z: grid(z), zmin: bottom, zmax: top, colorscale: scale.colors,
      colorbar, zsmooth: false, hoverinfo: "skip", name: "numbers",
    }];
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
        found.push(markers(strayed, { symbol: "line-ne", size: sizes(strayed, 1), line: { color, width } }, "unconverged"));
      }
    }
    return found;
  }

  function lineTraces() {
    return data.lines[state.facet].flatMap((line) => {
      const dash = line.asymptotic ? "6px,4px" : "solid";
      const width = line.asymptotic ? 1.4 : 1.9;
      const drawn = { type: "scatter", mode: "lines", x: line.x, y: line.y, hoverinfo: "skip" };
      return [
        { ...drawn, line: { color: "rgba(255,255,255,0.8)", width: width + 2 }, name: "halo" },
        { ...drawn, line: { color: "#000", width, dash }, name: `${line.name}, ${line.asymptotic ? "asymptotic" : "finite d"}` },
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

  const moveFrames = () => Plotly.relayout("diagram", { shapes: frames() });

  // The names of the lines at finite d stand along them, each where it is farthest from the other lines and names.
  // Angles and distances need the size the diagram came out with.
  const NAMES = { underparameterized: "width = k" };
  function lineNames() {
    const { xaxis, yaxis } = element("diagram")._fullLayout ?? {};
    if (!xaxis?._length) return [];
    const [width, height] = [xaxis._length, yaxis._length];
    const curves = data.lines[state.facet].map((line) => inPixels(line, xaxis, yaxis));
    const taken = [];
    return data.lines[state.facet].flatMap((line, i) => {
      if (line.asymptotic) return [];
      const others = curves.filter((_, j) => j !== i).flat();
      const gap = (place, points) => Math.min(1e4, ...points.map(([x, y]) => Math.hypot(x - place[0], y - place[1])));
      const candidates = curves[i].map((_, k) => nameAt(curves[i], k)).filter(
        ({ at: [x, y] }) => x > 55 && x < width - 55 && y > 45 && y < height - 12);
      const room = ({ at }) => Math.min(gap(at, others), 40) + Math.min(gap(at, taken) / 2, 60);
      const best = candidates.reduce((a, b) => (a && room(a) >= room(b) ? a : b), null);
      if (!best) return [];
      taken.push(best.at);
      return [{
        xref: "paper", yref: "paper", x: best.at[0] / width, y: 1 - best.at[1] / height,
        text: NAMES[line.name] ?? line.name, textangle: best.angle, showarrow: false, font: { ...font, size: 11 },
        bgcolor: "rgba(255,255,255,0.8)", borderpad: 1, captureevents: false,
      }];
    });
  }

  // A line every 8 pixels or so, in pixels from the upper left corner of the axes.
  function inPixels(line, xaxis, yaxis) {
    const points = line.x.map((x, k) => [x, line.y[k]]).filter((point) => !point.includes(null))
      .map(([x, y]) => [xaxis.d2p(x), yaxis.d2p(y)]);
    const inside = ([x, y]) => x >= 0 && x <= xaxis._length && y >= 0 && y <= yaxis._length;
    return points.slice(1).flatMap((point, k) => {
      const from = points[k];
      const steps = Math.max(1, Math.round(Math.hypot(point[0] - from[0], point[1] - from[1]) / 8));
      const between = (share) => from.map((each, axis) => each + share * (point[axis] - each));
      return Array.from({ length: steps }, (_, j) => between(j / steps));
    }).filter(inside);
  }

  function nameAt(curve, k) {
    const [from, to] = [curve[Math.max(0, k - 5)], curve[Math.min(curve.length - 1, k + 5)]];
    let turn = Math.atan2(to[1] - from[1], to[0] - from[0]);
    if (turn > Math.PI / 2) turn -= Math.PI;
    if (turn <= -Math.PI / 2) turn += Math.PI;
    const at = [curve[k][0] + 11 * Math.sin(turn), curve[k][1] - 11 * Math.cos(turn)];
    return { at, angle: (turn * 180) / Math.PI };
  }

  let named = "";
  function nameLines() {
    const names = lineNames();
    const text = JSON.stringify([names, state.facet]);
    if (text !== named) {
      named = text;
      Plotly.relayout("diagram", { annotations: names });
    }
  }

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
    const drawn = new Set(data.lines[state.facet].map((line) => line.asymptotic));
    const [rows, columns] = data.lines[state.facet][0]?.shape ?? [];
    const size = rows === undefined ? "finite d" : rows === columns ? `d = ${columns}` : `${rows} x ${columns}`;
    if (drawn.has(false)) entry(tag("span", "", { class: "stroke" }), `theory, ${size}`);
    if (drawn.has(true)) entry(tag("span", "", { class: "stroke dashed" }), "theory, d → ∞");
  }

  // ------------------------------------------------------------------------------------------------ the counts

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

  // -------------------------------------------------------------------------------------------------- one cell

  // Three bytes a number: the upper ones of a float32, linphase.pages.explorer_trajectories.encode.
  function decode(text) {
    const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    const bits = new Uint32Array(bytes.length / 3);
    for (let i = 0; i < bits.length; i += 1) {
      bits[i] = (bytes[3 * i] << 8) | (bytes[3 * i + 1] << 16) | (bytes[3 * i + 2] << 24);
    }
    return new Float32Array(bits.buffer);
  }

  function trajectory(run) {
    const kept = data.trajectories[run];
    if (!kept) return null;
    const numbers = decode(kept.numbers);
    const series = Array.from({ length: numbers.length / kept.moments }, (_, i) =>
      Array.from(numbers.subarray(i * kept.moments, (i + 1) * kept.moments)));
    const n = kept.modes.length;
    const found = {
      modes: kept.modes, time: series[0], train: series[1], test: series[2],
      values: series.slice(3, 3 + n), balance: series.slice(3 + n, 3 + 2 * n), theory: null,
    };
    if (series.length > 3 + 2 * n) {
      const values = series.slice(5 + 2 * n);
      const c = value("threshold", run);
      found.theory = {
        train: series[3 + 2 * n], test: series[4 + 2 * n], values,
        balance: values.map((each) => each.map((s) => s / Math.hypot(s, c))),
      };
    }
    return found;
  }

  const SIGNAL = "#4a7bd0"; // black dashes stay legible on all of these
  const RANKS = ["signal", "bulk", "train error", "test error", "theory"];
  const [BULK, CONTRAST, THEORY] = ["#8a8f96", "#c8553d", "#000"];

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
    element("note").textContent = path ? "" : whyNothing(run);
    element("curves").hidden = !path;
    drawNumbers(run, path);
    if (path) drawCurves(run, path);
    else Plotly.purge("curves");
  }

  function whyNothing(run) {
    if (run === null && beyond[state.facet].has(state.chosen)) return "No run lies here.";
    if (run === null) return "This cell has not been run.";
    if (value("status", run) === "failed") return `This run failed: ${data.errors[run] || "no reason is stored"}`;
    return "Of this replicate the page keeps no trajectory, for lack of space.";
  }

  function drawCurves(run, path) {
    const rank = value("rank", run);
    const c = value("threshold", run);
    const theory = element("show-theory").checked ? path.theory : null;
    const traces = [];
    // Mode balance is measured at few of the moments: those are marked, and straight lines join them.
    const marks = (y) => (path.time.length < 2 ? "markers" : y.some(Number.isNaN) ? "lines+markers" : "lines");
    const curve = (y, name, group, line, yaxis, first) => traces.push({
      type: "scatter", mode: marks(y), connectgaps: true, marker: { size: 5 }, x: path.time, y,
      name: first ? group : name, legendgroup: group, showlegend: first, legendrank: RANKS.indexOf(group), line, yaxis,
      hovertemplate: `${name}: %{y:.4~g} at time %{x:.3~g}<extra></extra>`,
    });
    const groups = new Set();
    const modes = (set, axis, isTheory) => path.modes.map((mode, i) => [mode, i]).reverse().forEach(([mode, i]) => {
      const kind = mode < rank ? "signal" : "bulk";
      const group = isTheory ? "theory" : kind;
      const line = isTheory ? { color: THEORY, width: 1, dash: "3px,3px" }
        : { color: mode < rank ? SIGNAL : BULK, width: mode < rank ? 2 : 1.3 };
      curve(set[i], `${kind} mode ${mode + 1}${isTheory ? ", theory" : ""}`, group, line, axis, !groups.has(group));
      groups.add(group);
    });
    modes(path.values, "y", false);
    modes(path.balance, "y2", false);
    curve(path.train, "train error", "train error", { color: "#3f7f3a", width: 2 }, "y3", true);
    curve(path.test, "test error", "test error", { color: CONTRAST, width: 2 }, "y3", true);
    if (theory) {
      modes(theory.values, "y", true);
      modes(theory.balance, "y2", true);
      const line = { color: THEORY, width: 1, dash: "3px,3px" };
      curve(theory.train, "train error, theory", "theory", line, "y3", false);
      curve(theory.test, "test error, theory", "theory", line, "y3", false);
    }
    const logTime = element("log-time").checked && new Set(path.time.filter((each) => each > 0)).size > 1;
    const log = element("log-values").checked;
    const span = path.time.filter((each) => !logTime || each > 0);
    const ends = [span[0], span[span.length - 1]];
    const level = (y, yaxis, text) => {
      traces.push({
        type: "scatter", mode: "lines", x: ends, y: [y, y], yaxis, name: text, showlegend: yaxis === "y",
        line: { color: "#a11d5e", width: 1.8, dash: "8px,3px,2px,3px" }, hovertemplate: `${text}<extra></extra>`,
      });
    };
    level(c, "y", `c = ${written(c)}`);
    level(Math.SQRT1_2, "y2", "1/√2: theory's where the singular value is c"); // s/√(s² + c²)
    // What the test error is to be held against; results of before do not have it.
    const baselines = [["optimal shrinkage", "optimal_test_error"], ["lazy limit", "lazy_test_error"]]
      .filter(([, column]) => column in data.runs)
      .map(([name, column]) => [name, value(column, run)])
      .filter(([, error]) => Number.isFinite(error));
    for (const [name, error] of baselines) level(error, "y3", `test error by ${name}: ${written(error)}`);
    const shownValues = [...path.values, ...(theory ? theory.values : [])].flat();
    const shownErrors = [path.train, path.test, ...(theory ? [theory.train, theory.test] : [])].flat();
    const axis = (title, domain, more) => ({
      title: { text: title, standoff: 4 }, domain, linecolor: "#555", mirror: true, showline: true, zeroline: false,
      gridcolor: "#e6e8eb", ticks: "outside", ticklen: 3, exponentformat: "power", fixedrange: true, ...more,
    });
    Plotly.react("curves", traces, {
      margin: { l: 62, r: 8, t: 44, b: 40 }, font, hovermode: "closest", dragmode: false,
      hoverlabel: { bgcolor: "#fff", bordercolor: "#1d2530", font },
      legend: { orientation: "h", x: 0, y: 1.01, yanchor: "bottom", font: { ...font, size: 11 } },
      xaxis: axis("time", [0, 1], {
        anchor: "y3", mirror: "all", type: logTime ? "log" : "linear", nticks: 8,
        ...(ends[0] === ends[1] ? {} : { range: logTime ? ends.map(Math.log10) : ends }),
        ...(logTime ? logTicks(...ends) : {}),
      }),
      yaxis: axis("singular values", [0.6, 1], valueRange(shownValues, [c], log, 1e-6)),
      yaxis2: axis("mode balance", [0.32, 0.55], { range: [-0.03, 1.03], dtick: 0.5 }),
      yaxis3: axis("errors", [0, 0.27], valueRange(shownErrors, baselines.map(([, error]) => error), log, 1e-8)),
    }, config);
  }

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
    const theory = data.theory[run];
    const ended = (error) => (path?.theory ? written(path.theory[error].at(-1)) : "");
    line("status", label(value("status", run)));
    for (const { name } of data.criteria) line(`regime by ${name}`, label(outcome(run, name)));
    line("smallest test error", written(value("min_test_error", run)), theory ? written(theory[0], 3) : "");
    line("at time", written(value("time_at_min", run)), theory ? written(theory[1], 2) : "");
    line("test error at the end", written(value("final_test_error", run)), ended("test"));
    line("train error at the end", written(value("final_train_error", run)), ended("train"));
    const all = element("columns");
    for (const name of Object.keys(data.runs)) {
      const row = tag("tr", "", { title: data.columns[name]?.meaning ?? "" });
      const unit = data.columns[name]?.unit ?? "";
      row.append(tag("th", name, { scope: "row" }), tag("td", whole(value(name, run))), tag("td", unit));
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

  // ---------------------------------------------------------------------------------------------- the controls

  function draw() {
    drawDiagram();
    drawCounts();
    tellCell();
    if (state.run !== null) drawNumbers(state.run, trajectory(state.run));
  }

  // Many events of a dragged cut are one drawing.
  let waiting = false;
  function drawSoon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  }

  function connectCut(id, key) {
    const [slider, number] = [element(id), element(`${id}-number`)];
    const show = () => {
      slider.value = String(state[key]);
      number.value = String(state[key]);
    };
    const take = (from) => {
      const cut = Number(from.value);
      if (from.value === "" || !(cut >= 0 && cut <= 1)) return;
      state[key] = cut;
      (from === slider ? number : slider).value = String(cut);
      drawSoon();
    };
    slider.addEventListener("input", () => take(slider));
    number.addEventListener("input", () => take(number));
    number.addEventListener("change", show);
    show();
    return show;
  }

  function connect() {
    const fill = (select, names, text = (name) => name) =>
      select.append(...names.map((name) => tag("option", text(name), { value: name })));
    fill(element("panel"), data.panels.map((panel) => panel.name), (name) => panelOf(name).title);
    fill(element("criterion"), data.criteria.map((criterion) => criterion.name));
    element("panel").value = state.panel;
    element("criterion").value = state.criterion;
    element("panel").addEventListener("change", (event) => {
      state.panel = event.target.value;
      draw();
    });
    element("criterion").addEventListener("change", (event) => {
      state.criterion = event.target.value;
      draw();
    });
    const shows = [connectCut("signal-cut", "signalCut"), connectCut("bulk-cut", "bulkCut")];
    element("reset").addEventListener("click", () => {
      [state.signalCut, state.bulkCut] = data.usual_cuts;
      shows.forEach((show) => show());
      draw();
    });
    const selects = data.facets.map(({ label: name, values }) => {
      const select = tag("select");
      fill(select, values.map((_, i) => i), (i) => values[i]);
      const made = tag("label", `${name} `);
      made.append(select);
      element("facets").append(made);
      return select;
    });
    selects.forEach((select) => select.addEventListener("change", () => {
      state.facet = selects.reduce((place, each) => place * each.options.length + Number(each.value), 0);
      draw();
      choose(state.chosen ?? 0);
    }));
    element("replicate").addEventListener("change", (event) => {
      state.run = Number(event.target.value);
      drawRun();
    });
    for (const id of ["log-values", "log-time", "show-theory"]) element(id).addEventListener("change", drawRun);
    for (const id of ["controls", "view"]) element(id).addEventListener("submit", (event) => event.preventDefault());
    connectDiagram();
  }

  function connectDiagram() {
    const frame = element("frame");
    element("diagram").on("plotly_click", (event) => {
      const point = event.points.find((each) => each.data.name === "cells");
      if (!point) return;
      state.keyboard = false;
      choose(point.z);
    });
    // To the next place of another cell; at the edge it stays.
    const moved = ([column, row], [right, up]) => {
      const from = owner(row * columns + column);
      const inside = ([x, y]) => x >= 0 && x < columns && y >= 0 && y < rows;
      for (let to = [column + right, row + up]; inside(to); to = [to[0] + right, to[1] + up]) {
        if (owner(to[1] * columns + to[0]) !== from) return to;
      }
      return [column, row];
    };
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    frame.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      let [column, row] = [state.cell % columns, Math.floor(state.cell / columns)];
      if (event.key in moves) {
        for (let step = 0; step < (event.shiftKey ? 5 : 1); step += 1) {
          [column, row] = moved([column, row], moves[event.key]);
        }
      } else if (event.key === "Home") column = 0;
      else if (event.key === "End") column = columns - 1;
      else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(state.cell);
        return;
      } else return;
      event.preventDefault();
      state.cell = row * columns + column;
      showKeyboard(true);
      tellCell();
    });
    const showKeyboard = (shown) => {
      state.keyboard = shown;
      moveFrames();
    };
    // Not where a click brought the focus: drawing between its two halves would lose it.
    frame.addEventListener("focus", () => frame.matches(":focus-visible") && showKeyboard(true));
    frame.addEventListener("blur", () => state.keyboard && showKeyboard(false));
    addEventListener("resize", () => setTimeout(drawDiagram, 200));
  }

  const runsWord = (count) => `${count} run${count === 1 ? "" : "s"}`;
  const cells = members.flatMap((places, facet) => places.filter((_, place) => isCell(place, facet))).length;
  const size = `${cells} cells, ${runsWord(data.count)}`;
  element("summary").textContent = `linphase explorer: ${size}`
    + (data.left_out ? `; of ${runsWord(data.left_out)} the page keeps no trajectory, for lack of space` : "");
  drawDiagram();
  connect();
  drawCounts();
  // Begin with the cell in the middle, or the first that was run.
  const center = owner(Math.floor(rows / 2) * columns + Math.floor(columns / 2));
  choose(members[0][center].length ? center : Math.max(0, members[0].findIndex((runs) => runs.length)));
})();
