"""Laws over the dimension and the width, and where the boundaries lie below width d: results/scaling.

    python -m benchmarks.scaling

Trains what is missing into results/scaling_* (resumable: call it again), then writes results/scaling/README.md, its
tables and its figures. A quarter of an hour on two cores; with --large d = 1600 too, half an hour more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, isnan, log, nan
from pathlib import Path
from time import perf_counter

import click
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.linalg import null_space
from scipy.special import chdtrc, fdtrc

from benchmarks.claims import CONFIRMED, REFUTED
from benchmarks.estimates import Estimate, mean
from benchmarks.report import markdown
from benchmarks.scaling_figures import narrow_figure
from benchmarks.scaling_sweeps import NARROW_DIMENSIONS, NARROW_RATIOS, ROOT, fill, typical
from linphase import Cuts, Results
from linphase.diagram.measured import LEARNING_ORDER
from linphase.diagram.scaling import BENT, Law, Line, Point, fit, laws_of_boundaries, laws_of_panel
from linphase.figures.along import along
from linphase.figures.style import save
from linphase.model.mode_times import convergence_times, learning_order
from linphase.model.regime import CRITERIA
from linphase.theory.asymptotic import learning_order_threshold
from linphase.theory.boundaries import MIXED_BALANCED, MIXED_LAZY

OUT = ROOT / "results" / "scaling"
MARGIN_END, MARGIN = 0.01, 0.02  # by which a slope may lie away from what is predicted
NOT_REFUTED = "not refuted"
EXPONENTS = {MIXED_LAZY: 1.0, MIXED_BALANCED: 0.5}
MEASURED = ("balance", "speedup")  # the threshold's own boundary is theory's line seen again
OF_TRAINING = {
    "test-error": "smallest test error",
    "time-at-min": "its time",
    "final-time": "convergence time",
    "learning-order": "learning order",
}
OF_WIDTH = {"distance": "largest squared distance to equation (1), over d^2", "residual": "residual of equation (1)"}
LIMITS = {"distance": -1.0, "residual": -0.5}
LABELS = {"distance": r"$\mathrm{max}_t\,\|A-A_{sc}\|_F^2/d^2$", "residual": "residual of equation (1)"}
BELOW, ABOVE = [r for r in NARROW_RATIOS if r <= 1], [r for r in NARROW_RATIOS if r > 1]  # width/d
BANDS = {0.25: "balanced", 0.5: "mixed", 0.75: "mixed", 1.1: "lazy", 1.3: "lazy"}


# --- Over the dimension -----------------------------------------------------------------------------------------------


def boundary_laws(results: Results) -> dict[str, list[Law]]:
    """The laws of the two boundaries of the end, by criterion."""
    found = {each: laws_of_boundaries(results, "task.dimension", Cuts(criterion=each)) for each in MEASURED}
    return {each: [law for law in laws if law.quantity in EXPONENTS] for each, laws in found.items()}


def band(law: Law) -> float:
    """gamma_sigma2 + gamma_w of a law of training."""
    return round(float(dict(law.held)["gamma_sigma2"]) + 4, 6)  # type: ignore[arg-type]


def band_name(law: Law) -> str:
    return rf"$\gamma_{{\sigma^2}}+\gamma_w$ = {band(law):g}"


def told(line: Line | None) -> str:
    return "-" if line is None else f"{line.slope:.4f} [{line.low:.4f}, {line.high:.4f}]"


def number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.4f}"


def chi2(line: Line | None) -> str:
    return "-" if line is None or isnan(line.chi2) else f"{line.chi2:.1f} of {line.chi2_freedom}"


def verdict(line: Line | None, value: float, margin: float) -> str:
    """Whether the whole interval of a slope, some of it or none lies within a margin of a value."""
    assert line is not None
    low, high = line.low - value, line.high - value
    if low > margin or high < -margin:
        return f"**{REFUTED}**"
    return CONFIRMED if -margin <= low and high <= margin else NOT_REFUTED


def of_boundaries(laws: dict[str, list[Law]]) -> list[dict[str, str]]:
    rows = []
    for criterion, found in laws.items():
        for law in found:
            assert law.line is not None
            places = ", ".join(f"{exp(p.over_theory().mean):.3f}({1000 * p.half:.0f})" for p in law.points)
            rows.append(
                {
                    "boundary": law.quantity,
                    "by": CRITERIA[criterion].title,
                    "slope of ln c*": told(law.line),
                    "1, 1/2": verdict(law.line, EXPONENTS[law.quantity], MARGIN_END),
                    "slope of ln(c*/theory)": told(law.over_theory),
                    "chi2 of the latter": chi2(law.over_theory),
                    "c*/theory": places,
                }
            )
    return rows


def strays(named: Sequence[tuple[str, Law]]) -> str:
    """In which laws the interval of the slope over theory leaves out 0, and by how much at most."""
    lines = [(name, law.over_theory) for name, law in named if law.over_theory is not None]
    away = {name: max(line.low, -line.high) for name, line in lines}
    outside = {name: each for name, each in away.items() if each > 0}
    most = f", by at most {max(outside.values()):.4f}" if outside else ""
    return (
        f"Of the {len(lines)} intervals of the slope over theory {len(outside)} leave out 0{most}, where "
        f"{len(lines) / 20:g} would by chance: {'; '.join(outside) or 'none'}"
    )


def of_training(laws: dict[str, list[Law]]) -> list[dict[str, str]]:
    return [
        {
            "of": OF_TRAINING[panel],
            "sum, band": f"{band(law):g}, {BANDS[band(law)]}",
            "trained": told(law.line),
            "chi2": chi2(law.line),
            "theory, same d": number(law.theory),
            f"theory at d = {law.points[-1].x:g} alone": number(law.local),
            "trained over theory": told(law.over_theory),
            "chi2 of it": chi2(law.over_theory),
            "theory's slope": verdict(law.over_theory, 0.0, MARGIN),
        }
        for panel, found in laws.items()
        for law in found
    ]


def of_width(laws: dict[str, list[Law]]) -> list[dict[str, str]]:
    return [
        {
            "of": OF_WIDTH[panel],
            "c": f"{dict(law.held)['c']:g}",
            "widths": f"{law.points[0].x:,.0f} to {law.points[-1].x:,.0f}",
            "slope": told(law.line),
            "limit": f"{LIMITS[panel]:g}",
            "": verdict(law.line, LIMITS[panel], MARGIN),
        }
        for panel, found in laws.items()
        for law in found
    ]


# --- Below width d ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """c at a boundary over theory's c for a wide network, against width/d, for every d."""

    boundary: str
    criterion: str  # "" for a boundary of the path
    laws: dict[int, Law]  # by d

    def at(self, d: int, ratio: float) -> Point | None:
        return next((point for point in self.laws[d].points if abs(point.x - ratio) < 1e-9), None)

    def chi2(self, ratio: float) -> tuple[float, int]:
        """How far the d are apart at one width/d, and the degrees of freedom."""
        points = [point.over_theory() for d in self.laws if (point := self.at(d, ratio)) is not None]
        if len(points) < 2:
            return nan, 0
        means, weights = np.array([p.mean for p in points]), np.array([max(p.error, 0.0015) ** -2 for p in points])
        return float(np.sum(weights * (means - np.average(means, weights=weights)) ** 2)), len(points) - 1

    def away(self, least: float) -> str:
        """How far from 1 the intervals of all d reach, at the widths from `least` d on."""
        points = [p.over_theory() for law in self.laws.values() for p in law.points if p.x >= least]
        reached = [abs(exp(p.mean + sign * p.half) - 1) for p in points for sign in (-1, 1)]
        lacking = [d for d in self.laws if self.at(d, least) is None]
        return f"{100 * max(reached):.0f} %" if not lacking else "-"

    def below(self, d: int, most: float = 1.0) -> list[Point]:
        """The points up to the width `most` d."""
        return [point.over_theory() for point in self.laws[d].points if point.x <= most]

    def power(self, d: int) -> str:
        """The power of width/d by which c* over theory's goes up to width d, every replicate's own line."""
        points = self.below(d)
        line = fit(points, shared=True) if len(points) > 2 else None
        if line is None:
            return "-"
        return f"{line.slope:.2f} [{line.low:.2f}, {line.high:.2f}]" + (", bent" if straight(points) < BENT else "")


def straight(points: Sequence[Point]) -> float:
    """How probable so large a distance from a line in ln x is, by Hotelling's T^2: the points share their draws."""
    common = [i for i in points[0].logs if all(i in point.logs for point in points)]
    x = np.log([point.x for point in points])
    logs = np.array([[point.logs[i] for point in points] for i in common])
    bends = logs @ null_space(np.array([np.ones_like(x), x]))  # what no line can give
    r, p = bends.shape
    if r <= p:
        return nan
    middle, spread = bends.mean(axis=0), np.atleast_2d(np.cov(bends.T))
    squared = float(r * middle @ np.linalg.solve(spread, middle))
    return float(fdtrc(p, r - p, squared * (r - p) / (p * (r - 1))))


def curves(results: Results) -> list[Curve]:
    """The boundaries of the end by balance and speed-up, and learning order = 2."""
    found = []
    for criterion in MEASURED:
        laws = laws_of_boundaries(results, "width/d", Cuts(criterion=criterion))
        for name in EXPONENTS:
            found.append(Curve(name, criterion, {dimension(law): law for law in laws if law.quantity == name}))
        order = {dimension(law): of_wide(law) for law in laws if law.quantity == LEARNING_ORDER}
    return [*found, Curve(LEARNING_ORDER, "", order)]


def dimension(law: Law) -> int:
    return int(dict(law.held)["dimension"])  # type: ignore[call-overload, no-any-return]


def of_wide(law: Law) -> Law:
    """The same beside theory at infinite width, which has no value for a narrow network."""
    wide = log(learning_order_threshold(typical(dimension(law))))
    return replace(law, points=tuple(replace(point, log_theory=wide) for point in law.points))


def orders(results: Results) -> dict[int, dict[float, Estimate]]:
    """The learning order where c is largest, 3 times the signal's S, by d and width/d: 1 where training is lazy."""
    found: dict[int, dict[float, Estimate]] = {}
    for (d, width), part in results.runs.groupby(["dimension", "width"]):
        last = part[part["threshold"] > 0.99 * part["threshold"].max()]
        values = last["learning_order"].dropna()
        if len(values) == len(last):
            found.setdefault(int(d), {})[float(width) / float(d)] = mean(values)
    return found


def lazy_order(d: int, ratio: float, draws: int = 6) -> Estimate:
    """The learning order of training at the start's mean rate, A = e A(0) + (1 - e) Y with e = exp(-2 c t), at c = 3 S.

    A(0) has independent normal entries of the variance c^2/width, as at large width.
    """
    rng = np.random.default_rng(d)
    start = 3 * typical(d).signal_value / (ratio * d) ** 0.5
    time = np.linspace(0, 5, 101)  # in units of 1/2c
    found = []
    for _ in range(draws):
        u, v = (each / np.linalg.norm(each) for each in rng.standard_normal((2, d)))
        y, a = d * np.outer(u, v) + rng.standard_normal((d, d)), start * rng.standard_normal((d, d))
        s = np.array([np.linalg.svd(y + exp(-t) * (a - y), compute_uv=False) for t in time])
        found.append(learning_order(convergence_times(time, s, np.linalg.svd(y, compute_uv=False)), 1))
    return mean(found)  # type: ignore[arg-type]


def of_lazy() -> str:
    """`lazy_order` at the largest width of every d."""
    found = {d: lazy_order(d, NARROW_RATIOS[-1]) for d in NARROW_DIMENSIONS}
    return ", ".join(f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}] at d = {d}" for d, e in found.items())


def of_narrow(curve: Curve) -> list[dict[str, str]]:
    rows = []
    for ratio in NARROW_RATIOS:
        points = {d: curve.at(d, ratio) for d in NARROW_DIMENSIONS}
        apart, freedom = curve.chi2(ratio)
        if not any(points.values()):
            continue
        rows.append(
            {
                "width/d": f"{ratio:g}",
                **{f"d = {d}": "-" if p is None else interval(p.over_theory()) for d, p in points.items()},
                "chi2 between the d": "-" if freedom == 0 else f"{apart:.1f} of {freedom}",
            }
        )
    return rows


def interval(point: Point) -> str:
    low, high = exp(point.mean - point.half), exp(point.mean + point.half)
    return f"{exp(point.mean):.3f} [{low:.3f}, {high:.3f}]"


def apart(curve: Curve, ratios: Sequence[float]) -> str:
    """At which of some width/d the dimensions differ by more than their errors, 5 % for all width/d of a curve."""
    every = {ratio: curve.chi2(ratio) for ratio in NARROW_RATIOS}
    compared = {ratio: found for ratio, found in every.items() if found[1] > 0}
    here = [ratio for ratio in compared if ratio in ratios]
    differing = [f"{r:g}" for r in here if chdtrc(compared[r][1], compared[r][0]) < 0.05 / len(compared)]
    if not here:
        return "-"
    return f"{len(here)} compared, " + (f"apart at {', '.join(differing)}" if differing else "none apart")


def of_curves(
    every: Sequence[Curve], numbers: Callable[[Curve], dict[str, str]], widths: Sequence[float]
) -> list[dict[str, str]]:
    """A row a curve: numbers, and whether the d are on one curve at some widths."""
    return [
        {
            "boundary": curve.boundary,
            "by": CRITERIA[curve.criterion].title if curve.criterion else "path",
            **numbers(curve),
            "the d at one width/d": apart(curve, widths),
        }
        for curve in every
    ]


def powers(curve: Curve) -> dict[str, str]:
    return {f"d = {d}": curve.power(d) for d in curve.laws}


def distances(curve: Curve) -> dict[str, str]:
    return {f"{ratio:g} d": curve.away(ratio) for ratio in ABOVE}


def factors(curve: Curve) -> str:
    """c* over theory's and over (width/2d)^(1/2), at every width up to d."""
    told = []
    for ratio in BELOW:
        points = [point.over_theory().mean for d in curve.laws if (point := curve.at(d, ratio)) is not None]
        told.append(f"{exp(float(np.mean(points))) / (ratio / 2) ** 0.5:.2f} at width {ratio:g} d")
    return ", ".join(told)


def of_orders(found: dict[int, dict[float, Estimate]]) -> list[dict[str, str]]:
    return [
        {
            "width/d": f"{ratio:g}",
            **{
                f"d = {d}": f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]" if (e := by.get(ratio)) else "-"
                for d, by in found.items()
            },
        }
        for ratio in NARROW_RATIOS
    ]


# --- The page ---------------------------------------------------------------------------------------------------------


def table_of(laws: Sequence[tuple[str, Law]]) -> pd.DataFrame:
    """A line a law, of all of them."""
    return pd.DataFrame(
        [
            {
                "law": name,
                "axis": law.axis,
                "held": ", ".join(f"{column} = {value}" for column, value in law.held),
                "from": law.points[0].x,
                "to": law.points[-1].x,
                **({} if law.line is None else {k: getattr(law.line, k) for k in ("slope", "low", "high", "chi2")}),
                "theory": law.theory,
                "theory_at_largest": law.local,
                **(
                    {}
                    if law.over_theory is None
                    else {f"over_theory_{k}": getattr(law.over_theory, k) for k in ("slope", "low", "high", "chi2")}
                ),
            }
            for name, law in laws
            if law.points
        ]
    )


def narrow_table(every: Sequence[Curve]) -> pd.DataFrame:
    """c at every boundary over theory's, by d and width."""
    return pd.DataFrame(
        [
            {
                "boundary": curve.boundary,
                "by": curve.criterion or "path",
                "dimension": d,
                "width/d": point.x,
                "replicates": len(point.logs),
                "c_over_theory": exp(point.over_theory().mean),
                "low": exp(point.over_theory().mean - point.half),
                "high": exp(point.over_theory().mean + point.half),
            }
            for curve in every
            for d, law in curve.laws.items()
            for point in law.points
        ]
    )


def counted(sweeps: dict[str, Results]) -> str:
    """How many runs there are, how they ended, what they took."""
    runs = pd.concat([each.runs[["status", "elapsed_s"]] for each in sweeps.values()])
    ended = ", ".join(f"{count:,} {status}" for status, count in runs["status"].value_counts().items())
    return f"{len(runs):,} runs ({ended}), {runs['elapsed_s'].sum() / 60:.0f} minutes of one core"


def cut_short(narrow: Results) -> str:
    """Where the runs lie that reached the step limit, and which numbers they enter."""
    runs = narrow.runs[narrow.runs["status"] == "step_limit"]
    per_d, dims = runs["width"] / runs["dimension"], sorted(int(d) for d in runs["dimension"].unique())
    over = runs["threshold"] / [typical(d).signal_value for d in runs["dimension"]]
    last = int((over > 2.99).sum())
    return (
        f"The {len(runs)} runs that reached the step limit lie here, at d = {' and '.join(map(str, dims))}, width "
        f"{per_d.min():g} d to {per_d.max():g} d, c = {over.min():.2g} S to {over.max():.2g} S. They count as they "
        f"ended: {last} in the learning order at c = 3 S, the other {len(runs) - last} at most in mixed | lazy of "
        "their width, for mixed | balanced lies at smaller c"
    )


def page(sections: dict[str, str]) -> str:
    """results/scaling/README.md."""
    return f"""# Laws over the dimension

Slopes of logarithms with 95 % intervals, by `linphase boundary --fit` and `linphase plot --along --fit` (estimator and interval:
[docs/theory.md](../../docs/theory.md#laws-over-the-dimension)). Every number holds at the d it names and for k = 1, signal_norm = 1,
noise 1. Of a prediction and a margin the page says {CONFIRMED} where the whole interval lies within the margin, {REFUTED} where the whole
interval lies outside, and {NOT_REFUTED} otherwise. `python -m benchmarks.scaling` makes it all again; {sections["counted"]}.

## The boundaries of the end: a check of the numerics

At convergence a wide run's criteria are functions of the target and c, so the exponents 1 and 1/2 are theory's, and this tests
conservation at finite width, random-matrix theory and the solver: it is no discovery. Width d^2, excess error 1e-5, 8 replicates
at d = 50 to 400, 3 at 800. Theory's own slopes over these d are {sections["theory"]}, for S = d + 1 and
0.808 sqrt(d - 1) at k = 1. In brackets behind c*/theory half of its 95 % interval, in thousandths. Margin
{MARGIN_END} around 1 and 1/2. {sections["strays"]}.

{sections["boundaries"]}

| | |
|---|---|
| ![by balance](boundaries_balance.png) | ![by speed-up](boundaries_speedup.png) |

## What training does

Errors and times of the path are no functions of the end. Width d^4, so that the start is near A = 0, from where theory begins. Theory is
equation (1) on the typical task (`linphase theory --asymptotic`): its slope over the same d with the same weights, and its
local slope at the largest d. Where chi2 is large the law is bent, as theory's is: the number is then the mean slope over these d, and no
exponent of large d. Margin {MARGIN} around 0, for the slope of trained/theory. {sections["training_strays"]}.
There the slope is theory's up to the margin, and not exactly.

{sections["training"]}

| | |
|---|---|
| ![smallest test error](test-error.png) | ![its time](time-at-min.png) |
| ![convergence time](final-time.png) | ![learning order](learning-order.png) |

## Over the width

Distance to equation (1) and its residual, d = 32, widths above 10 c^2. The replicates of all widths share their task, so each has a slope
of its own, and the interval is that of the mean of 8. Margin {MARGIN} around the limit.

{sections["width"]}

| | |
|---|---|
| ![distance](distance.png) | ![residual](residual.png) |

## Below width d

The threshold is derived for wide networks. Measured is the c = sigma2 width at which the boundaries lie for widths from d/8 to 64 d, over theory's
c for a wide network (of mixed, balanced with the bulk that the width can hold): 1 where c is the threshold. The last column of the next two
tables says at which width/d the three d differ by more than their errors (chi2, 5 % for all widths of a boundary; the errors rest on 6 to 12
draws). {sections["cut"]}.

![c at the boundaries over theory's, and the learning order, over width/d](narrow.png)

**From 2 d on** the intervals of c*/theory reach no further from 1 than this, at all d and from a width on; a dash where a d has no boundary.
No law of the approach is claimed: 1 + a d/width lies outside intervals of the tables below.

{sections["above"]}

**Up to d** the power of width/d by which c*/theory goes, from d/8 to d; 0 would be c. Bent: chance gives a line so crooked a point set in less
than {100 * BENT:g} % (Hotelling's T^2), so the power is a mean over these widths. What every training conserves is D = W1 W1^T - W2^T W2. The mean of its squared
eigenvalues is sigma2^2 times 2 d (width + 1) for width < 2 d, and c^2 from there on, where all 2 d of them are near c or -c: so up to 2 d
sigma2 sqrt(2 d width) is the size that c has above, and if it took the place of c as it is, c*/theory would be (width/2d)^(1/2), a power of 1/2.

{sections["power"]}

Only mixed, balanced by mode balance comes near 1/2, and its powers fall with d, away from 1/2: at d = 128 the interval leaves 1/2 out. Where that
ends is not known. c*/theory over (width/2d)^(1/2) is {sections["factor"]} (means over the d). Refuted by an interval further than 0.1 from 1/2. The
other boundaries go otherwise, so no single number takes the place of c for all criteria.

{sections["narrow"]}

### Learning order at c = 3 S

Where c is three times the signal's singular value S, the bulk takes 21 to 327 times as long as the signal up to width d (means), the more the
larger d: this is no function of width/d alone. The boundary above therefore has no entry up to width d. Refuted by a learning order below 2 at
width d. At widths 16 d and 64 d the learning order is 0.67 to 1.04, and not simply the 1 of lazy training from A = 0: in the whole table the start
lies beyond infinite noise (sigma2^2 width > 1, as width < 9 S^2). Lazy training from such a start at constant rates,
A = e A(0) + (1 - e) Y with e = exp(-2 c t), has at width 64 d the learning order {sections["lazy"]}
(6 draws each), and so explains the 0.67 at d = 128: a start of that size lets the bulk come down to its values, which is quicker. This
was computed after the 0.67 was seen. Widths below 64 d were not compared so.

{sections["orders"]}

Numbers: [laws.csv](laws.csv), [narrow.csv](narrow.csv).
"""


def pictures(
    boundaries: dict[str, list[Law]], training: dict[str, list[Law]], width: dict[str, list[Law]]
) -> dict[str, Figure]:
    """By file name."""
    found = {
        f"boundaries_{criterion}": along(
            laws, label="threshold $c$", name=lambda law: law.quantity, title=f"by {CRITERIA[criterion].title}"
        )
        for criterion, laws in boundaries.items()
    }
    found |= {name: along(laws, label=OF_TRAINING[name], name=band_name) for name, laws in training.items()}
    found["time-at-min"] = along(training["time-at-min"], label="time of the smallest test error", name=band_name)
    return found | {name: along(laws, label=LABELS[name]) for name, laws in width.items()}


@click.command()
@click.option("--scratch", type=click.Path(path_type=Path), default=ROOT / "results",
              help="Where the sweeps are kept; not committed.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Where the page goes.")
@click.option("--jobs", default=2, show_default=True, help="Worker processes.")
@click.option("--large", is_flag=True, help="d = 1600, too: half an hour more on two cores.")
def main(scratch: Path, out: Path, jobs: int, large: bool) -> None:
    """Train what is missing, measure, and write the page."""
    began = perf_counter()
    sweeps = fill(scratch, jobs, large)
    boundaries = boundary_laws(sweeps["boundaries"])
    training = {panel: laws_of_panel(sweeps["training"], panel, "task.dimension") for panel in OF_TRAINING}
    width = {panel: laws_of_panel(sweeps["width"], panel, "width", by="c") for panel in OF_WIDTH}
    every, at_large_c = curves(sweeps["narrow"]), orders(sweeps["narrow"])
    titles = [f"{c.boundary} by {CRITERIA[c.criterion].title}" if c.criterion else c.boundary for c in every]
    sections = {
        "counted": counted(sweeps),
        "theory": " and ".join(f"{law.theory:.4f}" for law in boundaries[MEASURED[0]]),
        "boundaries": markdown(of_boundaries(boundaries)),
        "strays": strays(
            [(f"{law.quantity} by {CRITERIA[by].title}", law) for by, laws in boundaries.items() for law in laws]
        ),
        "training_strays": strays(
            [(f"{OF_TRAINING[panel]} at {band(law):g}", law) for panel, laws in training.items() for law in laws]
        ),
        "training": markdown(of_training(training)),
        "width": markdown(of_width(width)),
        "above": markdown(of_curves(every, distances, ABOVE)),
        "power": markdown(of_curves(every, powers, BELOW)),
        "lazy": of_lazy(),
        "cut": cut_short(sweeps["narrow"]),
        "factor": factors(every[1]),
        "narrow": "\n\n".join(f"### {t}\n\n{markdown(of_narrow(c))}" for t, c in zip(titles, every, strict=True)),
        "orders": markdown(of_orders(at_large_c)),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in {**pictures(boundaries, training, width), "narrow": narrow_figure(every, at_large_c)}.items():
        save(figure, out / f"{name}.png", {"Title": name})
    laws = [(f"{law.quantity} by {by}", law) for by, found in boundaries.items() for law in found]
    laws += [(name, law) for name, found in {**training, **width}.items() for law in found]
    table_of(laws).to_csv(out / "laws.csv", index=False, float_format="%.6g")
    narrow_table(every).to_csv(out / "narrow.csv", index=False, float_format="%.6g")
    (out / "README.md").write_text(page(sections), encoding="utf-8")
    click.echo(f"{(perf_counter() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
