"use strict";
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
