// Where the names of theory's lines stand: outside the frame, where each line leaves it. Pure functions of numbers.

// Where a line leaves the frame: at its right, else at its top; null where at neither. Points as shares of the frame,
// from its lower left corner; null for a gap. at: the share along that side.
function exitOf(points) {
  const near = (each, end) => Math.abs(each - end) < 1e-4;
  const within = (each) => each > -1e-4 && each < 1 + 1e-4;
  const crossing = (axis) => {
    const other = 1 - axis;
    for (let i = points.length - 1; i >= 0; i -= 1) {
      const [to, from] = [points[i], points[i - 1]];
      if (to && near(to[axis], 1) && within(to[other])) return to[other];
      if (!to || !from || (from[axis] - 1) * (to[axis] - 1) >= 0) continue;
      const share = (1 - from[axis]) / (to[axis] - from[axis]);
      const at = from[other] + share * (to[other] - from[other]);
      if (within(at)) return at;
    }
    return null;
  };
  const [right, top] = [crossing(0), crossing(1)];
  if (right !== null) return { side: "right", at: right };
  return top === null ? null : { side: "top", at: top };
}

// Names over the frame in rows, from the right one to the left; each begins where its line leaves or ends at the limit.
// A name has `at` and `width` in pixels, and gets `left` and `row`; one that has no place is left out.
const MOST_ROWS = 4;
function inRows(names, limit) {
  const placed = [];
  const gap = 5;
  for (const name of [...names].sort((a, b) => b.at - a.at)) {
    const left = Math.min(name.at, limit - name.width);
    const over = (at, { left: from, width }) => at > from - 2 && at < from + width + gap;
    const free = (row) => placed.every((other) => {
      if (other.row === row) return left + name.width + gap <= other.left || other.left + other.width + gap <= left;
      return other.row < row ? !over(name.at, other) : !over(other.at, { left, width: name.width });
    });
    const row = Array.from({ length: MOST_ROWS }, (_, each) => each).find(free);
    if (row !== undefined) placed.push({ ...name, left, row });
  }
  return placed;
}

// Names beside the frame, from the lower one to the upper; one that would touch the one below it moves up. `at` in
// pixels from the bottom, `middle` is where the name stands; one that would stand above the frame is left out.
function inColumn(names, height, apart) {
  const placed = [];
  for (const name of [...names].sort((a, b) => a.at - b.at)) {
    const below = placed.at(-1);
    const middle = Math.max(name.at, below ? below.middle + apart : 0);
    if (middle <= height) placed.push({ ...name, middle });
  }
  return placed;
}
