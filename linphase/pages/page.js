// The explorer: what is chosen, what follows from it, and drawing both. The data is in the page, made by
// linphase.pages; texts of the user's reach the page as textContent alone, never as HTML.
(() => {
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

  // ------------------------------------------------------------------------------------------------- the runs

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

  // ----------------------------------------------------------------------------------------------- the diagram

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
        found.push(markers(strayed, { symbol: "line-ne", size: sizes(strayed, 1), line: { color, width } }, "unconverged"));
      }
    }
    return found;
  }

  function lineTraces() {
    return data.lines[state.facet].flatMap((line) => {
      const dash = !line.bounds ? "1.5px,3px" : line.asymptotic ? "6px,4px" : "solid";
      const width = !line.bounds ? 1.2 : line.asymptotic ? 1.4 : 1.9;
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

  const moveFrames = () => {
    const { clientWidth, clientHeight } = element("diagram");
    Plotly.relayout("diagram", { shapes: [...frames(), ...placedNames(clientWidth, clientHeight).leaders] });
  };

  // The names of the lines at finite d, outside the frame where each line leaves it, and the margin that they take.
  const HEIGHT = 14; // of a name
  const pen = document.createElement("canvas").getContext("2d");
  function placedNames(width, height) {
    pen.font = `11px ${FAMILY}`;
    const found = data.lines[state.facet].filter((line) => !line.asymptotic).flatMap((line) => {
      const exit = exitOf(line.x.map((x, i) => [shareOf(data.x, x), shareOf(data.y, line.y[i])]));
      return exit ? [{ ...exit, text: line.called, width: pen.measureText(line.called).width }] : [];
    });
    const [above, beside] = ["top", "right"].map((side) => found.filter((name) => name.side === side));
    const margin = { l: 58, r: Math.max(12, ...beside.map((name) => name.width + 18)), b: 48, pad: 0, autoexpand: false };
    const across = width - margin.l - margin.r;
    const over = inRows(above.map((name) => ({ ...name, share: name.at, at: name.at * across })), across + margin.r - 2);
    margin.t = 8 + HEIGHT * Math.max(0, ...over.map((name) => name.row + 1));
    if (!element("diagram").classList.contains("bare")) margin.b += BAR;
    const up = height - margin.t - margin.b;
    const right = inColumn(beside.map((name) => ({ ...name, share: name.at, at: name.at * up })), up, HEIGHT);
    return { margin, texts: [...titles(margin), ...nameTexts(over, right)], leaders: leaders(over, right) };
  }

  // A value as its share of an axis, as it is drawn.
  function shareOf(axis, each) {
    const drawn = (number) => (axis.logarithmic ? Math.log(number) : number);
    const [low, high] = [drawn(axis.edges[0]), drawn(axis.edges.at(-1))];
    return (drawn(each) - low) / (high - low);
  }

  const TEXT = { xref: "paper", yref: "paper", showarrow: false, borderpad: 0, captureevents: false };

  // Of the axes and, above its right end, of the colour bar.
  function titles({ b: below }) {
    const title = { ...TEXT, font: fontOf(13) };
    const found = [
      { ...title, text: data.x.label, x: 0.5, y: 0, xanchor: "center", yanchor: "top", yshift: -23 },
      { ...title, text: data.y.label, x: 0, y: 0.5, xanchor: "right", yanchor: "middle", xshift: -36, textangle: -90 },
    ];
    const { symbol } = panelOf(state.panel);
    if (!symbol || element("diagram").classList.contains("bare")) return found;
    const bar = { font: fontOf(11), x: 1, y: 0, xanchor: "right", yanchor: "bottom", yshift: 32 - below };
    return [...found, { ...TEXT, ...bar, text: symbol }];
  }

  function nameTexts(over, right) {
    const text = { ...TEXT, font: fontOf(11) };
    return [
      ...over.map(({ text: name, share, left, at, row }) => ({
        ...text, text: name, x: share, y: 1, xanchor: "left", yanchor: "bottom", xshift: left - at - 2,
        yshift: 3 + HEIGHT * row,
      })),
      ...right.map(({ text: name, share, middle, at }) => ({
        ...text, text: name, x: 1, y: share, xanchor: "left", yanchor: "middle", xshift: 10, yshift: middle - at,
      })),
    ];
  }

  // From where a line leaves to its name.
  function leaders(over, right) {
    const line = {
      type: "line", xref: "paper", yref: "paper", xsizemode: "pixel", ysizemode: "pixel", name: "leader",
      line: { color: colors.ink, width: 0.8 },
    };
    return [
      ...over.map(({ share, row }) => (
        { ...line, xanchor: share, yanchor: 1, x0: 0, x1: 0, y0: 0, y1: 5 + HEIGHT * row })),
      ...right.map(({ share, middle, at }) => (
        { ...line, xanchor: 1, yanchor: share, x0: 0, x1: 8, y0: 0, y1: middle - at })),
    ];
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
    const levels = shown.scale ? levelsIn(shown.scale) : [];
    if (levels.length) entry(tag("span", "", { class: "stroke step" }), `steps at ${levels.map((each) => written(each)).join(", ")}`);
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

  // Measured: solid. Theory: dashed. The threshold: dotted.
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
      xref: "x domain", x: 0.01 + 0.32 * i, xanchor: "left", yref: "y3", y: errors.type === "log" ? Math.log10(error) : error,
      yanchor: "top", text: name, showarrow: false, font: fontOf(10, data.curves.test), borderpad: 0,
    });
    return {
      width, height, margin: { l: 62, r: 8, t: width < 560 ? 48 : 30, b: 40 }, font: fontOf(), hovermode: "closest",
      dragmode: false, hoverlabel, paper_bgcolor: colors.paper, plot_bgcolor: colors.plot,
      annotations: baselines.map(named),
      legend: {
        orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: fontOf(11, LIGHT.ink), bgcolor: colors.plot,
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

  // ---------------------------------------------------------------------------------------------- the controls

  // How much of the window is left to the diagram and the curves hangs on the rows that the controls take.
  function fit() {
    const main = document.querySelector("main");
    main.style.setProperty("--above", `${main.getBoundingClientRect().top + scrollY}px`);
  }

  function redraw() {
    fit();
    drawDiagram();
    drawRun();
  }

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
    element("save").addEventListener("click", savePicture);
    connectPaper();
  }

  // A print is on white paper and as wide as a page; a room may grow dark.
  function connectPaper() {
    const show = (printing) => {
      document.body.classList.toggle("printing", printing);
      colors = printing ? LIGHT : themed();
      redraw();
    };
    addEventListener("beforeprint", () => show(true));
    addEventListener("afterprint", () => show(false));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(false));
  }

  function connectDiagram() {
    const frame = element("frame");
    element("diagram").on("plotly_click", (event) => {
      const point = event.points.find((each) => each.data.name === "cells");
      if (!point) return;
      state.keyboard = false;
      choose(point.z);
    });
    element("diagram").on("plotly_hover", (event) => {
      const point = event.points.find((each) => each.data.name === "cells");
      if (point) showTip(point.z, event.event);
    });
    element("diagram").on("plotly_unhover", () => { element("tip").hidden = true; });
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
    let resized = 0;
    addEventListener("resize", () => {
      clearTimeout(resized);
      resized = setTimeout(redraw, 150);
    });
  }

  // ------------------------------------------------------------------------------------------- a picture of both

  // What is seen as a PNG at twice its size, on white paper: the diagram with its key, and the curves beside it.
  async function savePicture() {
    const shown = shownCells();
    const image = (data, layout) => Plotly.toImage(
      { data, layout, config }, { format: "png", width: layout.width, height: layout.height, scale: 2 }).then(loaded);
    const left = onPaper(() => ({
      title: [plainly(element("panel-title"))], layout: diagramLayout(), traces: diagramTraces(shown),
      key: [...element("key").children],
    }));
    const path = state.run === null ? null : trajectory(state.run);
    const right = path && onPaper(() => ({
      title: [plainly(element("cell-title")), element("note").textContent], layout: curvesLayout(state.run, path),
      traces: [...curveTraces(state.run, path), ...levelsOfCurves(state.run, spanOf(path).ends)], key: [],
    }));
    const halves = [left, right].filter(Boolean);
    for (const half of halves) half.image = await image(half.traces, half.layout);
    const link = tag("a", "", { download: `${data.name}-${state.panel}.png`, href: composed(halves).toDataURL("image/png") });
    link.click();
    element("saved").textContent = `Saved ${link.download}`;
  }

  // Typeset text as one writes it by hand.
  const plainly = (node) => [...node.childNodes].map((each) => {
    if (each.nodeType === Node.TEXT_NODE) return each.textContent;
    return ({ SUB: "_", SUP: "^" }[each.tagName] ?? "") + plainly(each);
  }).join("");

  function loaded(url) {
    const made = new Image();
    made.src = url;
    return made.decode().then(() => made);
  }

  // Halves side by side on one canvas: lines of a title, the image, the key.
  function composed(halves) {
    const [gap, line] = [16, 20];
    const canvas = document.createElement("canvas");
    const [space, heads] = [canvas.getContext("2d"), Math.max(...halves.map(({ title }) => title.length))];
    const rowsOf = halves.map(({ key, layout }) => keyRows(space, key, layout.width));
    const width = halves.reduce((sum, { layout }) => sum + layout.width + gap, gap);
    const height = Math.max(...halves.map(({ layout }, i) => layout.height + line * (heads + rowsOf[i].length))) + gap;
    [canvas.width, canvas.height] = [2 * width, 2 * height];
    space.scale(2, 2);
    space.fillStyle = LIGHT.paper;
    space.fillRect(0, 0, width, height);
    let x = gap;
    halves.forEach(({ title, image, layout }, i) => {
      space.fillStyle = LIGHT.ink;
      title.forEach((text, row) => {
        space.font = `${row ? 13 : "bold 14"}px ${FAMILY}`;
        space.fillText(text, x, line * (row + 0.9), layout.width);
      });
      space.drawImage(image, x, line * heads, layout.width, layout.height);
      rowsOf[i].forEach((row, k) => row.forEach((entry) =>
        drawEntry(space, entry, x + entry.x, line * (heads + k + 0.8) + layout.height)));
      x += layout.width + gap;
    });
    return canvas;
  }

  // The entries of the key in rows of at most this width.
  function keyRows(space, entries, width) {
    space.font = `13px ${FAMILY}`;
    const found = [];
    let x = Infinity;
    for (const each of entries) {
      const sample = each.querySelector(".swatch, .stroke");
      const text = sample ? each.lastChild.textContent : each.textContent;
      const length = (sample ? 34 : 0) + space.measureText(text).width + 16;
      if (x + length > width) {
        found.push([]);
        x = 0;
      }
      found.at(-1).push({ x, sample, text });
      x += length;
    }
    return found;
  }

  function drawEntry(space, { sample, text }, x, y) {
    space.font = `13px ${FAMILY}`;
    space.setLineDash([]);
    [space.strokeStyle, space.lineWidth] = ["#555", 1];
    if (sample?.classList.contains("swatch")) {
      const style = getComputedStyle(sample);
      space.fillStyle = style.backgroundColor;
      space.fillRect(x + 10, y - 11, 14, 13);
      space.strokeRect(x + 10, y - 11, 14, 13);
      space.fillStyle = style.color;
      space.fillText(sample.textContent, x + 13, y);
    } else if (sample) {
      const step = sample.classList.contains("step");
      for (const [color, breadth] of step ? [["#404040", 4], ["#fff", 2]] : [["#000", 2]]) {
        [space.strokeStyle, space.lineWidth] = [color, breadth];
        space.setLineDash(sample.classList.contains("dashed") ? [6, 4] : []);
        space.beginPath();
        space.moveTo(x + 2, y - 4);
        space.lineTo(x + 28, y - 4);
        space.stroke();
      }
    }
    space.fillStyle = LIGHT.ink;
    space.fillText(text, x + (sample ? 34 : 0), y);
  }

  // -------------------------------------------------------------------------------------------------- the beginning

  const runsWord = (count) => `${count} run${count === 1 ? "" : "s"}`;
  const cells = members.flatMap((places, facet) => places.filter((_, place) => isCell(place, facet))).length;
  const size = `${cells} cells, ${runsWord(data.count)}`;
  element("summary").textContent = `linphase explorer: ${size}`
    + (data.left_out ? `; of ${runsWord(data.left_out)} the page keeps no trajectory, for lack of space` : "");
  connect();
  fit();
  drawDiagram();
  connectDiagram();
  drawCounts();
  // Begin with the cell in the middle, or the first that was run.
  const center = owner(Math.floor(rows / 2) * columns + Math.floor(columns / 2));
  choose(members[0][center].length ? center : Math.max(0, members[0].findIndex((runs) => runs.length)));
})();
