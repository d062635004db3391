// The controls, and the beginning.
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
  let resized = 0;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(redraw, 150);
  });
}

function connectKeys() {
  const frame = element("frame");
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
}

// ----------------------------------------------------------------------------------------------------- the beginning

const runsWord = (count) => `${count} run${count === 1 ? "" : "s"}`;
const cells = members.flatMap((places, facet) => places.filter((_, place) => isCell(place, facet))).length;
const size = `${cells} cells, ${runsWord(data.count)}`;
element("summary").textContent = `linphase explorer: ${size}`
  + (data.left_out ? `; of ${runsWord(data.left_out)} the page keeps no trajectory, for lack of space` : "");
connect();
fit();
drawDiagram();
connectDiagram();
connectKeys();
drawCounts();
// Begin with the cell in the middle, or the first that was run.
const center = owner(Math.floor(rows / 2) * columns + Math.floor(columns / 2));
choose(members[0][center].length ? center : Math.max(0, members[0].findIndex((runs) => runs.length)));
