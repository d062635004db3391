// A PNG of what is seen, made in the browser.

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
  const [download, href] = [`${data.name}-${state.panel}.png`, composed(halves).toDataURL("image/png")];
  const link = tag("a", "", { download, href });
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
