"""What each claim of `benchmarks.paper_claims` measures: one function a claim, and the registry of them, a row each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import inf, log

import numpy as np
import pandas as pd

from benchmarks.claim_sweeps import (
    CROSSING_DIMENSIONS,
    CROSSING_SUM,
    DIMENSIONS,
    ESCAPE_DIMENSIONS,
    NARROW_DIMENSIONS,
    RANK,
    SLOPE_SUMS,
    SUM_STEP,
    SUMS,
    WIDTH_SUMS,
    total,
)
from benchmarks.estimates import Estimate, Floats, line, mean, share, trend
from linphase import Cuts, Results
from linphase.diagram.measured import crossing, log_ratios
from linphase.theory.asymptotic import AsymptoticCell, TypicalTask, asymptotic_cell
from linphase.theory.mode import mode_time

SMALL = 0.2  # a small test error; that of A = 0 is 1
MARGIN = 0.02  # in exponents and shares: as much as a limit may lie outside of an interval
NEAR = 0.1  # in the sum: as far as the fewest iterations may lie from the line between mixed and lazy
TOLD_SUMS = (0.75, 0.95, 1.0, 1.05, 1.2, 1.4)
QUIET = 10  # so many c^2 is a width well below infinite noise
BANDS = {"balanced": (-0.5, 0.45), "mixed": (0.5, 0.9), "lazy": (1.05, 1.4)}  # sums, both ends included
CONFIRMED, REFUTED, LATER = "confirmed", "refuted", "not at this d"

Sweeps = dict[str, Results]


@dataclass(frozen=True)
class Measured:
    """What was found for a claim, on which runs."""

    estimate: Estimate
    dimension: str
    runs: pd.DataFrame
    verdict: str
    told: str = ""


@dataclass(frozen=True)
class Claim:
    """One statement, what number it is about, what would refute it, and how it is measured."""

    statement: str
    number: str
    refuted_if: str
    measure: Callable[[Sweeps], Measured]


# ------------------------------------------------------------------------------------------------------ verdicts


def verdict(found: Estimate, limit: float, predicted: float | None = None) -> str:
    """Confirmed where the limit is within the interval and a margin; not at this d where the closed form is instead."""
    if found.meets(limit, MARGIN):
        return CONFIRMED
    return LATER if predicted is not None and found.meets(predicted, MARGIN) else REFUTED


def of(results: Results, **values: float) -> pd.DataFrame:
    """The finished rows whose columns have some values; `total` is gamma_sigma2 + gamma_w."""
    runs = results.runs[results.runs["status"] != "failed"]
    for name, value in values.items():
        column = total(runs) if name == "total" else runs[name]
        runs = runs[column == value]
    return runs


# --------------------------------------------------------------------------------------------- errors, by band and d


def band(name: str, d: int, sweeps: Sweeps) -> Measured:
    """The smallest test error of a band: the median over its cells, by replicate."""
    low, high = BANDS[name]
    runs = of(sweeps["sums"], dimension=d)
    runs = runs[total(runs).between(low, high)]
    found = mean(runs.groupby("replicate")["min_test_error"].median())
    below = float((runs["min_test_error"] < SMALL).mean())
    told = f"{below:.0%} of the runs below {SMALL}"
    if name == "lazy":
        return Measured(found, str(d), runs, CONFIRMED if found.low > SMALL else REFUTED, told)
    if found.high < SMALL:
        return Measured(found, str(d), runs, CONFIRMED, told)
    middle = (low + high) / 2
    later = first_dimension(lambda d: closed_form(d, middle).min_test_error < SMALL)
    told += f"; the closed form at sum {middle:.2f} is below it from d = {power(later)}"
    return Measured(found, str(d), runs, LATER if later < inf else REFUTED, told)


def closed_form(d: float, at: float) -> AsymptoticCell:
    """A cell of a typical task of rank k at any d, by equation (1) from A = 0."""
    return asymptotic_cell(TypicalTask(d, RANK), at)


def first_dimension(holds: Callable[[float], bool]) -> float:
    """The first d of a hundred and more, in quarters of decades up to 10^15, from which on something holds."""
    places = 10 ** np.arange(2, 15.1, 0.25)
    fails = [i for i, d in enumerate(places) if not holds(float(d))]
    first = fails[-1] + 1 if fails else 0
    return float(places[first]) if first < len(places) else inf


def power(d: float) -> str:
    return f"10^{np.log10(d):g}" if np.isfinite(d) else "beyond 10^15"


def slope_in_d(results: Results, column: str, at: float, dimensions: Iterable[int]) -> Estimate:
    """The exponent of d with which a column goes at one sum."""
    every = list(dimensions)
    groups = [np.log(of(results, total=at, dimension=d)[column].to_numpy(float)) for d in every]
    return line([log(d) for d in every], groups)


def exponent(column: str, at: float, limit: float, sweeps: Sweeps) -> Measured:
    """The exponent of d of a column at one sum, beside the closed form on the same tasks and the limit."""
    trained, theory = sweeps["dimension"], sweeps["dimension-theory"]
    found, predicted = (slope_in_d(each, column, at, DIMENSIONS) for each in (trained, theory))
    last = list(DIMENSIONS)[-2:]
    local = slope_in_d(trained, column, at, last)
    told = f"limit {limit:g}; closed form on the same tasks {predicted.value:.3f}; from d = {last[0]} to {last[1]} "
    told += f"{local.value:.3f} [{local.low:.3f}, {local.high:.3f}]"
    return Measured(found, spanned(DIMENSIONS), of(trained, total=at), verdict(found, limit, predicted.value), told)


def spanned(dimensions: Iterable[int]) -> str:
    every = list(dimensions)
    return f"{every[0]} to {every[-1]}"


def stable_rank(sweeps: Sweeps) -> Measured:
    """The stable rank at the smallest test error at sum 0.75, over d."""
    at, column = 0.75, "stable_rank_at_min"
    by_d = {d: mean(of(sweeps["dimension"], total=at, dimension=d)[column]) for d in DIMENSIONS}
    last = list(DIMENSIONS)[-1]
    found, runs = by_d[last], of(sweeps["dimension"], total=at)
    back = first_dimension(lambda d: closed_form(d, at).stable_rank_at_min < 1.05 * RANK)
    told = "over d: " + ", ".join(f"{each.value:.1f}" for each in by_d.values())
    told += f"; the closed form is within 5 % of k from d = {power(back)}"
    holds = found.low < RANK
    return Measured(found, str(last), runs, CONFIRMED if holds else LATER if back < inf else REFUTED, told)


# ------------------------------------------------------------------------------------------------ equation (1), width


def slopes(runs: pd.DataFrame, x: str, y: str) -> Floats:
    """The slope of log y over log x, by replicate."""
    return np.array(
        [
            np.polyfit(np.log(part[x].to_numpy(float)), np.log(part[y].to_numpy(float)), 1)[0]
            for _, part in runs.groupby("replicate")
        ]
    )


def exponent_of_width(column: str, at: float, limit: float, sweeps: Sweeps) -> Measured:
    """The exponent of the width of a column at c = d^at, well below infinite noise; told over all widths."""
    runs = sweeps["width"].runs
    c = runs["threshold"].to_numpy(float)
    runs = runs[np.isclose(c, 32**at, rtol=1e-6)]
    # 2 gamma_sigma2 + gamma_w < 0, where the theorems hold, is width > c^2.
    quiet = runs[runs["width"] > QUIET * runs["threshold"] ** 2]
    found, whole = (mean(slopes(each, "width", column)) for each in (quiet, runs))
    ends = quiet.groupby("width")[column].mean()
    told = f"limit {limit:g}; {ends.iloc[0]:.2g} at width {ends.index[0]:,}, {ends.iloc[-1]:.2g} at {ends.index[-1]:,}; from "
    told += f"width {runs['width'].min()} on {whole.value:.3f} [{whole.low:.3f}, {whole.high:.3f}]"
    return Measured(found, "32", quiet, verdict(found, limit), told)


# ----------------------------------------------------------------------------------------------- starts and iterations


def converges(sweeps: Sweeps) -> Measured:
    """The share of all runs that converged."""
    trained = {name: each.runs for name, each in sweeps.items() if name != "dimension-theory"}
    runs = pd.concat([each[["status", "elapsed_s"]] for each in trained.values()])
    converged = int((runs["status"] == "converged").sum())
    found = share(converged, len(runs))
    others = runs.loc[runs["status"] != "converged", "status"].value_counts()
    told = f"{converged:,} of {len(runs):,}"
    told += "".join(f", {count} {status}" for status, count in others.items())
    return Measured(found, "32 to 800", runs, CONFIRMED if converged == len(runs) else REFUTED, told)


def papers_scale(c: Floats, op_norm: Floats, at: Floats) -> Floats:
    """1/50 over the paper's learning rate, which jumps from ||A*||_op to c where the sum passes 1."""
    return np.where(at > 1, c, op_norm)


def larger_scale(c: Floats, op_norm: Floats, at: Floats) -> Floats:
    """The same for a rate that does not jump."""
    return np.maximum(c, op_norm)


def with_iterations(runs: pd.DataFrame, scale: Callable[[Floats, Floats, Floats], Floats]) -> pd.DataFrame:
    """The runs with their sum and the iterations until their smallest test error at a learning rate of 1/(50 scale)."""
    at = total(runs)
    op_norm = runs["iterations_at_min"] / (50 * runs["time_at_min"])  # where the paper's rate is 1/(50 ||A*||_op)
    op_norm = op_norm.where(at < 1).groupby([runs["dimension"], runs["replicate"]]).transform("median")
    scales = scale(*(each.to_numpy(dtype=float) for each in (runs["threshold"], op_norm, at)))
    return runs.assign(sum=at, count=50 * runs["time_at_min"].to_numpy(float) * scales)


def fewest_iterations(d: int, sweeps: Sweeps) -> Measured:
    """The sum of the fewest iterations until the smallest test error at one d, its trend in d, and by theory beyond."""
    runs = with_iterations(of(sweeps["sums"]), papers_scale)
    best = runs.loc[runs.groupby(["dimension", "replicate"])["count"].idxmin()]
    found = mean(best.loc[best["dimension"] == d, "sum"])
    found = Estimate(found.value, found.low - SUM_STEP / 2, found.high + SUM_STEP / 2)
    change = trend(np.log(best["dimension"].to_numpy(float)), best["sum"])
    places = best.groupby("dimension")["sum"].mean()
    told = "over d: " + ", ".join(f"{place:.3f} ({each})" for each, place in places.items())
    seen = f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}]" if np.ptp(best["sum"]) > 0 else "none seen"
    told += f"; change with ln d {seen}; closed form "
    for far in (1e4, 1e8, 1e12):
        c, op_norm = far ** np.array(SUMS), np.array(far / RANK**0.5)
        times = np.array([closed_form(far, at).time_at_min for at in SUMS])
        place = SUMS[int(np.argmin(times * papers_scale(c, op_norm, np.array(SUMS))))]
        told += f"{place:g} ({power(far)}) "
    told += f"; the interval holds half of the grid's step, {SUM_STEP / 2}"
    here = runs[runs["dimension"] == d]
    return Measured(found, str(d), here, CONFIRMED if found.meets(1, NEAR) else REFUTED, told)


def iterations_beyond(d: int, sweeps: Sweeps) -> Measured:
    """Iterations at sum 1.4 over those at sum 1, at a rate that does not jump between them."""
    runs = with_iterations(of(sweeps["sums"], dimension=d), larger_scale)
    table = runs.pivot_table(index="replicate", columns="sum", values="count")
    found = mean(table[1.4] / table[1.0])
    told = "iterations " + ", ".join(f"{table[at].mean():.1f} (sum {at:g})" for at in TOLD_SUMS)
    told += "; closed form from sum 1.2 on, d to infinity: 25 ln 2 = 17.3"
    return Measured(found, str(d), runs, CONFIRMED if found.low > 1 + NEAR else REFUTED, told)


# ------------------------------------------------------------------------------------------------ alignment and escape


def overlaps(results: Results) -> pd.DataFrame:
    """The runs, with the overlaps of A with signal and target when the modes cross c: the median over those that do."""
    found: dict[str, list[float]] = {"signal_overlap": [], "target_overlap": []}
    for run_id in results.runs["run_id"]:
        trajectory = results.trajectory(run_id)
        crossed = trajectory.mode_times.crossing > 0  # 0: above c from the start
        for name, values in found.items():
            at = trajectory.observables[f"{name}_at_crossing"][crossed]
            values.append(float(np.median(at)) if at.size else np.nan)
    return results.runs.assign(**found)


def alignment(d: int, sweeps: Sweeps) -> Measured:
    """How what is missing of the overlap with the target at the crossing falls with the width, from d^1.5 to d^3."""
    runs = overlaps(sweeps["crossing"])
    runs = runs[runs["dimension"] == d]
    fitted = runs[runs["gamma_w"] >= 1.5]
    found = mean(slopes(fitted.assign(missing=1 - fitted["target_overlap"]), "width", "missing"))
    by_width = runs.groupby("gamma_w")[["signal_overlap", "target_overlap", "width"]].mean()
    told = "overlap with target (signal) at the crossing: "
    told += ", ".join(
        f"{row['target_overlap']:.3f} ({row['signal_overlap']:.3f}) at width d^{gamma:g}"
        for gamma, row in by_width.iterrows()
    )
    square = by_width.loc[2.0]
    told += f"; at the end signal {runs['subspace_overlap'].mean():.3f}; missing of the target at d^2: "
    told += f"{(1 - square['target_overlap']) * square['width'] / d:.2f} d/width"
    return Measured(found, str(d), runs, verdict(found, -1), told)


def escapes(results: Results) -> pd.DataFrame:
    """Of every signal mode 2 S t and ln(S/c), t the time at which it passes half of its target S; and by theory."""
    parts = []
    for row in results.runs.to_dict("records"):
        trajectory, c = results.trajectory(row["run_id"]), float(row["threshold"])
        S, t = (each[:RANK].astype(float) for each in (trajectory.final_modes.target, trajectory.mode_times.escape))
        part = pd.DataFrame({"x": np.log(S / c), "y": 2 * S * t, "theory": 2 * S * mode_time(S / 2, 0.0, S, c)})
        parts.append(part.assign(dimension=row["dimension"], replicate=row["replicate"]))
    return pd.concat(parts, ignore_index=True)


def escape(d: int, sweeps: Sweeps) -> Measured:
    """The slope of 2 S t over ln(S/c), by replicate."""
    modes = escapes(sweeps["escape"])
    modes = modes[modes["dimension"] == d]
    fits = np.array([np.polyfit(part["x"], part["y"], 1) for _, part in modes.groupby("replicate")])
    found, intercept = mean(fits[:, 0]), mean(fits[:, 1])
    predicted = np.polyfit(modes["x"], modes["theory"], 1)
    told = f"limit 1; intercept {intercept.value:.3f} [{intercept.low:.3f}, {intercept.high:.3f}], limit ln 2 = 0.693; "
    told += f"closed form of the same modes: slope {predicted[0]:.3f}, intercept {predicted[1]:.3f}; "
    told += f"ln(S/c) from {modes['x'].min():.1f} to {modes['x'].max():.1f}"
    return Measured(found, str(d), of(sweeps["escape"], dimension=d), verdict(found, 1, predicted[0]), told)


# --------------------------------------------------------------------------------------------------------- narrow widths


def thresholds(results: Results, criterion: str, column: str) -> pd.DataFrame:
    """ln(c_eff/c) by replicate (rows) and d, width (columns).

    c_eff is the singular value at which a mode turns active by the criterion; at the boundary it is that of the modes.
    So it is c times d to the distance in gamma_sigma2 between the boundary by the criterion and by s = c, on the same
    runs.
    """
    modes = results.final_modes()
    places = {}
    for name in ("threshold", criterion):
        runs = log_ratios(results.runs, modes, Cuts(criterion=name))
        for cell, part in runs.groupby(["dimension", "width"]):
            table = part.pivot_table(index="replicate", columns="gamma_sigma2", values=column)
            x = table.columns.to_numpy(float)
            places[name, cell] = np.array([crossing(x, row, ~np.isnan(row))[0] for row in table.to_numpy(float)])
    cells = [cell for name, cell in places if name == criterion]
    return pd.DataFrame({cell: (places["threshold", cell] - places[criterion, cell]) * log(cell[0]) for cell in cells})


def narrow(criterion: str, column: str, d: int, sweeps: Sweeps) -> Measured:
    """By how much the boundary lies elsewhere in gamma_sigma2 at width = d, where c_eff is not c."""
    logs = thresholds(sweeps["narrow"], criterion, column)
    found = mean(-logs[d, d] / log(d))
    ratios = {width / d: np.exp(logs[d, width]) for _, width in logs.loc[:, [d]].columns}
    told = "c_eff/c " + ", ".join(f"{each.mean():.2f} (width {ratio:g} d)" for ratio, each in ratios.items())
    wide = [(1 / ratio, each.mean() - 1) for ratio, each in ratios.items() if ratio >= 2]
    law = sum(x * y for x, y in wide) / sum(x * x for x, _ in wide)
    told += f"; c_eff/c = 1 {law:+.2f} d/width from 2 d on"
    runs = of(sweeps["narrow"], dimension=d)
    return Measured(found, str(d), runs, verdict(found, 0), told)


# --------------------------------------------------------------------------------------------------------- the registry

LIMITS = {0.25: -1.0, 0.5: -1.0, 0.75: -0.5, 1.1: 0.0, 1.3: 0.0}  # -min(1, 2 (1 - sum)), 0 when lazy
FAR = f"the interval is further than {MARGIN} from the limit and from the closed form at the same d"
FAR_FROM_LIMIT = f"the interval is further than {MARGIN} from the limit"
NARROW = {
    ("mixed | lazy", "signal_log_ratio"): ("balance", "speedup"),
    ("mixed | balanced", "bulk_log_ratio"): ("balance", "speedup"),
}


def claims() -> list[Claim]:
    """Every claim, a row each."""
    found = [
        Claim(
            f"{name.capitalize()} ({low} <= sum <= {high}): {'large' if name == 'lazy' else 'small'} test error",
            "smallest test error, median over the band",
            f"the interval is {'not above' if name == 'lazy' else 'not below'} {SMALL} (A = 0 has 1)"
            + ("" if name == "lazy" else ", and the closed form nowhere below it"),
            partial(band, name, d),
        )
        for d in (64, 200)
        for name, (low, high) in BANDS.items()
    ]
    for at in SLOPE_SUMS:
        found.append(
            Claim(
                f"Sum {at}: the smallest test error goes as d^{LIMITS[at]:g}"
                if at < 1
                else f"Lazy, sum {at}: no power of d",
                "exponent of d of the smallest test error",
                FAR,
                partial(exponent, "min_test_error", at, LIMITS[at]),
            )
        )
    found.append(
        Claim(
            f"Mixed, sum 0.75: the rank is the signal's, k = {RANK}, at the smallest test error",
            "stable rank",
            f"the interval is above {RANK} and the closed form nowhere within 5 % of it",
            stable_rank,
        )
    )
    for at in (0.5, 0.75, 1.3):
        limit = -max(0.5, at)
        statement = f"Sum {at}: convergence takes a time d^{limit:g}"
        found.append(Claim(statement, "exponent of d of the time", FAR, partial(exponent, "final_time", at, limit)))
    for at in SLOPE_SUMS:
        limit = -max(1.0, at)
        statement = f"Sum {at}: the smallest test error comes at a time d^{limit:g}, up to logarithms"
        found.append(Claim(statement, "exponent of d of the time", FAR, partial(exponent, "time_at_min", at, limit)))
    for at in WIDTH_SUMS:
        found.append(
            Claim(
                f"c = d^{at}: the distance to equation (1) falls as 1/width",
                "exponent of the width of the largest ||A - A_sc||^2/d^2",
                FAR_FROM_LIMIT,
                partial(exponent_of_width, "distance_to_self_consistent", at, -1),
            )
        )
        found.append(
            Claim(
                f"c = d^{at}: the residual of self-consistency falls as width^-1/2",
                "exponent of the width of ||Theta - Theta_sc||/||Theta||",
                FAR_FROM_LIMIT,
                partial(exponent_of_width, "self_consistency_residual", at, -0.5),
            )
        )
    found.append(
        Claim("Gradient flow converges from any start", "share of converged runs", "one run does not", converges)
    )
    for d in (200, 400):
        found.append(
            Claim(
                "The fewest iterations, at the paper's learning rate, are at the line between mixed and lazy, sum = 1",
                "sum of the fewest iterations",
                f"the interval is further than {NEAR} from 1",
                partial(fewest_iterations, d),
            )
        )
        found.append(
            Claim(
                "... and at a rate that does not jump there, 1/(50 max(c, ||A*||_op)), lazy takes more of them again",
                "iterations at sum 1.4 over those at sum 1",
                f"the interval is not above 1 + {NEAR}",
                partial(iterations_beyond, d),
            )
        )
    for d in CROSSING_DIMENSIONS:
        found.append(
            Claim(
                f"Modes align before they become active (sum {CROSSING_SUM}): what is missing at the crossing goes as 1/width",
                "exponent of the width of 1 - overlap with the target's k leading modes",
                FAR_FROM_LIMIT,
                partial(alignment, d),
            )
        )
    for d in ESCAPE_DIMENSIONS:
        statement = "Small c: a mode leaves its saddle at ln(S/c)/(2 S) and a constant"
        found.append(Claim(statement, "slope of 2 S t over ln(S/c)", FAR, partial(escape, d)))
    for d in NARROW_DIMENSIONS:
        for (boundary, column), criteria in NARROW.items():
            for criterion in criteria:
                found.append(
                    Claim(
                        f"c is the threshold at width = d, too: {boundary} by {criterion}",
                        "shift of the boundary in gamma_sigma2",
                        f"the interval is further than {MARGIN} from 0",
                        partial(narrow, criterion, column, d),
                    )
                )
    return found
