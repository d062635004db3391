// What stands around the frame of the diagram: titles, and the names of theory's lines where names.js places them.

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
