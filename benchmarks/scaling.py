"""Laws over the dimension and the width, and what replaces c below width d: results/scaling.

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
from scipy.special import chdtrc

from benchmarks.claims import CONFIRMED, REFUTED
from benchmarks.estimates import Estimate, mean
from benchmarks.report import markdown
from benchmarks.scaling_figures import narrow_figure
from benchmarks.scaling_sweeps import NARROW_DIMENSIONS, NARROW_RATIOS, ROOT, fill, typical
from linphase import Cuts, Results
from linphase.diagram.measured import LEARNING_ORDER
from linphase.diagram.scaling import Law, Line, Point, fit, laws_of_boundaries, laws_of_panel
from linphase.figures.along import along
from linphase.figures.style import save
from linphase.model.regime import CRITERIA
from linphase.theory.asymptotic import learning_order_threshold
from linphase.theory.boundaries import ACTIVE_LAZY, MIXED_BALANCED

OUT = ROOT / "results" / "scaling"
MARGIN_END, MARGIN = 0.01, 0.02  # by which a slope may lie outside of its interval
EXPONENTS = {ACTIVE_LAZY: 1.0, MIXED_BALANCED: 0.5}
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


def holds(line: Line | None, value: float, margin: float) -> str:
    """Whether a slope is within a margin of the interval."""
    assert line is not None
    return CONFIRMED if line.low - margin <= value <= line.high + margin else f"**{REFUTED}**"


def of_boundaries(laws: dict[str, list[Law]]) -> list[dict[str, str]]:
    rows = []
    for criterion, found in laws.items():
        for law in found:
            assert law.line is not None
            near = "yes" if abs(law.line.slope - EXPONENTS[law.quantity]) <= MARGIN_END else "**no**"
            places = ", ".join(f"{exp(p.over_theory().mean):.3f}({1000 * p.half:.0f})" for p in law.points)
            rows.append(
                {
                    "boundary": law.quantity,
                    "by": CRITERIA[criterion].title,
                    "slope of ln c*": told(law.line),
                    f"within {MARGIN_END} of {'1, 1/2'}": near,
                    "slope of ln(c*/theory)": told(law.over_theory),
                    "chi2 of the latter": chi2(law.over_theory),
                    "c*/theory": places,
                }
            )
    return rows


def strays(laws: Sequence[Law]) -> str:
    """In how many laws the interval of the slope over theory leaves out 0, and by how much at most."""
    lines = [law.over_theory for law in laws if law.over_theory is not None]
    away = [max(line.low, -line.high) for line in lines]
    outside = [each for each in away if each > 0]
    most = f", by at most {max(outside):.4f}" if outside else ""
    return f"Of the {len(lines)} intervals of the slope over theory {len(outside)} leave out 0{most}."


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
            "theory's slope": holds(law.over_theory, 0.0, MARGIN),
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
            "": holds(law.line, LIMITS[panel], MARGIN),
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

    def excess(self, d: int, least: float = 2.0) -> str:
        """a in c*/c = 1 + a d/width over the widths from `least` d on; the interval that of replicates."""
        points = [point.over_theory() for point in self.laws[d].points if point.x >= least]
        if len(points) < 3:
            return "-"
        x = np.array([1 / point.x for point in points])
        y = np.array([[exp(point.logs[i]) - 1 for point in points] for i in points[0].logs])
        # A part that is the same at all widths is the draw's own distance from theory's c.
        found = mean((y @ (x - x.mean())) / np.sum((x - x.mean()) ** 2))
        return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"

    def power(self, d: int, most: float = 1.0) -> str:
        """The power of width/d by which c* over theory's goes up to the width `most` d, every replicate's own line."""
        points = [point.over_theory() for point in self.laws[d].points if point.x <= most]
        line = fit(points, shared=True) if len(points) > 2 else None
        return "-" if line is None else f"{line.slope:.2f} [{line.low:.2f}, {line.high:.2f}]"


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


def of_narrow(curve: Curve) -> list[dict[str, str]]:
    rows = []
    for ratio in NARROW_RATIOS:
        points = {d: curve.at(d, ratio) for d in NARROW_DIMENSIONS}
        apart, freedom = curve.chi2(ratio)
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


def apart(curve: Curve) -> str:
    """At which width/d the dimensions differ by more than their errors, of how many that can be compared."""
    compared = [(ratio, *curve.chi2(ratio)) for ratio in NARROW_RATIOS]
    compared = [each for each in compared if each[2] > 0]
    differing = [f"{ratio:g}" for ratio, value, freedom in compared if chdtrc(freedom, value) < 0.05 / len(compared)]
    return f"{len(compared)} compared, " + (f"apart at {', '.join(differing)}" if differing else "none apart")


def of_curves(every: Sequence[Curve], number: Callable[[Curve, int], str]) -> list[dict[str, str]]:
    """A row a curve: a number for each d, and whether these are on one curve."""
    return [
        {
            "boundary": curve.boundary,
            "by": CRITERIA[curve.criterion].title if curve.criterion else "path",
            **{f"d = {d}": number(curve, d) for d in curve.laws},
            "the d at one width/d": apart(curve),
        }
        for curve in every
    ]


def factors(curve: Curve) -> str:
    """c* over theory's and over (width/2d)^(1/2), at every width up to d."""
    told = []
    for ratio in (each for each in NARROW_RATIOS if each <= 1):
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


def page(sections: dict[str, str]) -> str:
    """results/scaling/README.md."""
    return f"""# Laws over the dimension

Slopes of logarithms with 95 % intervals, by `linphase boundary --fit` and `linphase plot --along` (estimator and interval:
[docs/theory.md](../../docs/theory.md#laws-over-the-dimension)). Every number holds at the d it names and for k = 1, signal_norm = 1,
noise 1. `python -m benchmarks.scaling` makes it all again; {sections["counted"]}.

## The boundaries of the end: a check of the numerics

At convergence a wide run's criteria are functions of the target and c, so the exponents 1 and 1/2 are theory's, and this tests
conservation at finite width, random-matrix theory and the solver: it is no discovery. Width d^2, excess error 1e-5, 8 replicates
at d = 50 to 400, 3 at 800. Theory's own slopes over these d are {sections["theory"]}, for S = d + 1 and
0.808 sqrt(d - 1) at k = 1. In brackets behind c*/theory half of its 95 % interval, in thousandths. Refuted by an
interval further than {MARGIN_END} from the exponent. {sections["strays"]}

{sections["boundaries"]}

| | |
|---|---|
| ![by balance](boundaries_balance.png) | ![by speed-up](boundaries_speedup.png) |

## What training does

Errors and times of the path are no functions of the end. Width d^4, so that the start is near A = 0, from where theory begins. Theory is
equation (1) on the typical task (`linphase theory --asymptotic`): its slope over the same d with the same weights, and its
local slope at the largest d. Where chi2 is large the law is bent, as theory's is: the number is then the mean slope over these d, and no
exponent of large d. Refuted is theory's slope by an interval of the slope of trained/theory further than {MARGIN} from 0.

{sections["training"]}

| | |
|---|---|
| ![smallest test error](test-error.png) | ![its time](time-at-min.png) |
| ![convergence time](final-time.png) | ![learning order](learning-order.png) |

## Over the width

Distance to equation (1) and its residual, d = 32, widths above 10 c^2. The replicates of all widths share their task, so each has a slope
of its own, and the interval is that of the mean of 8. Refuted by an interval further than {MARGIN} from the limit.

{sections["width"]}

| | |
|---|---|
| ![distance](distance.png) | ![residual](residual.png) |

## Below width d

The threshold is derived for wide networks. Measured is the c = sigma2 width at which the boundaries lie for widths from d/8 to 64 d, over theory's
c for a wide network (of mixed, balanced with the bulk that the width can hold): 1 where c is the threshold. Were c the threshold at
every width, all entries would be 1; the dimensions lie on one curve over width/d unless chi2 between them is large.

![c at the boundaries over theory's, and the learning order, over width/d](narrow.png)

**From 2 d on** c*/theory goes as 1 + a d/width, and c is the threshold up to that. a, and at how many width/d the three d differ by more than their errors (chi2,
5 % for all of a row together; the errors rest on 6 to 12 draws):

{sections["excess"]}

**Up to d** the power of width/d by which c*/theory goes, from d/8 to d; 0 would be c. What every training conserves is D = W1 W1^T - W2^T W2. The mean of its squared
eigenvalues is sigma2^2 times 2 d (width + 1) for width < 2 d, and c^2 from there on, where all 2 d of them are near c or -c: so up to 2 d
sigma2 sqrt(2 d width) is the size that c has above, and if it took the place of c as it is, c*/theory would be (width/2d)^(1/2), a power of 1/2.

{sections["power"]}

The boundary mixed, balanced by mode balance goes by a power near 1/2, with a factor of its own: c*/theory over (width/2d)^(1/2) is
{sections["factor"]} (means over the d). Where the interval leaves 1/2 out, the power is near it and no more is known. By speed-up, whose unit is
the mean rate at the start and so c itself, and for the one signal mode it is another: no single number takes the place of c for all criteria. Over
width/d the three d lie on one curve where the last column says that none is apart. Refuted, for this boundary, by an interval further than 0.1 from 1/2.

{sections["narrow"]}

### Learning order at c = 3 S

Where c is three times the signal's singular value S a network of width d^2 and more is lazy: its learning order is 1. Up to width d the bulk comes tens of
times later than the signal, the more so the larger d: this is no function of width/d alone. A start of c above S lies beyond infinite noise
(sigma2^2 width > 1) wherever width < S^2, so part of it is the time to unlearn the start. The learning order falls to 2 at no c up to 3 S there, and the
table of its boundary above is empty up to width d. Refuted by a learning order below 2 at width d.

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
        "strays": strays([law for laws in boundaries.values() for law in laws]),
        "training": markdown(of_training(training)),
        "width": markdown(of_width(width)),
        "excess": markdown(of_curves(every, Curve.excess)),
        "power": markdown(of_curves(every, Curve.power)),
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
