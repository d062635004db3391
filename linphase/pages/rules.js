// The rules that linphase itself has in Python, for the page decides anew as the cuts move: from order parameters and
// cuts to a word, and from the words of replicates to that of their cell. A test holds them equal to Python's.

// linphase.diagram.outcomes and linphase.model.regime.classify.
function outcomeOf({ status, signal, bulk, width, rank, noise }, cuts) {
  if (status === "diverged" || status === "failed") return status;
  if (width < rank) return "underparameterized";
  if (signal === null) return "undefined";
  if (signal < cuts.signal) return "lazy";
  return noise !== 0 && (bulk === null || bulk >= cuts.bulk) ? "balanced" : "mixed";
}

// linphase.model.regime.majority: the words that most replicates share, several where they tie, in a given order.
function majorityOf(words, order) {
  const count = (word) => words.filter((each) => each === word).length;
  const most = Math.max(...words.map(count));
  return order.filter((word) => words.includes(word) && count(word) === most);
}

// ------------------------------------------------------------------------------------- what the file packs as text

const bytesOf = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));

// linphase.pages.packing.pack_numbers: three bytes a number, the upper ones of a float32.
function numbersOf(text) {
  const bytes = bytesOf(text);
  const bits = new Uint32Array(bytes.length / 3);
  for (let i = 0; i < bits.length; i += 1) {
    bits[i] = (bytes[3 * i] << 8) | (bytes[3 * i + 1] << 16) | (bytes[3 * i + 2] << 24);
  }
  return new Float32Array(bits.buffer);
}

// A column by the number of a run: the same for all, or each one's; as numbers, NaN for null, or as codes of few values.
function columnOf({ all, each, numbers, of, codes }) {
  if (numbers !== undefined) {
    const found = numbersOf(numbers);
    return (run) => (Number.isNaN(found[run]) ? null : found[run]);
  }
  if (codes !== undefined) {
    const bytes = bytesOf(codes);
    return (run) => of[bytes[2 * run] | (bytes[2 * run + 1] << 8)];
  }
  return each === undefined ? () => all : (run) => each[run];
}

// linphase.pages.explorer_tables._owners: run lengths as the owner of each place; null: each place is its own.
function ownersOf(lengths, count) {
  if (lengths === null) return Int32Array.from({ length: count }, (_, place) => place);
  const found = new Int32Array(count);
  for (let i = 0, place = 0; i < lengths.length; i += 2) {
    found.fill(lengths[i], place, place + lengths[i + 1]);
    place += lengths[i + 1];
  }
  return found;
}

// ---------------------------------------------------------------------------------------------- what a cell shows

// linphase.diagram.cells.cells_of: of a cell's runs, at least one, the mean of a column, or the words in its stead.
function shownOf(values, statuses, { unfinished, order, panel }) {
  if (panel.outcome) return { number: null, words: majorityOf(statuses, order) };
  const ended = values.filter((_, i) => !unfinished.includes(statuses[i]));
  const given = ended.filter((each) => each !== null);
  if (!given.length) return { number: null, words: ended.length ? ["undefined"] : majorityOf(statuses, order) };
  const mean = given.reduce((sum, each) => sum + each, 0) / given.length;
  if (mean === 0 && panel.null !== null) return { number: null, words: ["start"] }; // a time that no mode needs
  if (!panel.ln) return { number: mean, words: null };
  return mean > 0 ? { number: Math.log(mean), words: null } : { number: null, words: ["undefined"] };
}

// linphase.figures.painting.edge_segments: the edges between cells below a level and others, as the ends of each.
function levelEdges(numbers, level, x, y) {
  const columns = x.length - 1;
  const side = (place) => (numbers[place] === null ? null : numbers[place] < level);
  const parted = (a, b) => side(a) !== null && side(b) !== null && side(a) !== side(b);
  return numbers.flatMap((_, place) => {
    const [row, column] = [Math.floor(place / columns), place % columns];
    const found = [];
    if (column > 0 && parted(place, place - 1)) found.push([[x[column], y[row]], [x[column], y[row + 1]]]);
    if (row > 0 && parted(place, place - columns)) found.push([[x[column], y[row]], [x[column + 1], y[row]]]);
    return found;
  });
}

// linphase.theory.mode.modes_from_zero: s(t) of one mode of equation (1) from A = 0 towards S.
function modeFromZero(t, S, c) {
  const R = Math.hypot(S, c);
  const g = (S / c) * (1 + S / (R + c));
  const K = g / (1 + c / (S + R));
  const E = Math.expm1(Math.min(2 * R * t, 700));
  const x = g * (E / (E + 1 + K));
  return Math.min((c / 2) * x * (1 + 1 / (1 + x)), S);
}
