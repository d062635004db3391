"""Section 11: the power laws of the error on aligned tasks of one output, lazy and rich (Bordelon et al. 2024).

    python -m benchmarks.power_laws

Trains what is missing (kept in results/power_laws), fits, prints the exponents and writes docs/power_laws.png: a
minute at 256 features, and ten more for the one run at 1024.
"""

from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp
from scipy.sparse import block_array, csc_array, diags_array

import linphase
from benchmarks.report import Finding, Section, Settings, Tables, add
from linphase.diagram.looks import Array
from linphase.figures.fitting import COLUMN_WIDTH
from linphase.figures.style import inches, points, save, set_ticks, stroke, styled
from linphase.model.draws import TaskConfig, draw_task

ROOT = Path(__file__).parents[1]
CAPACITY = 2.0  # alpha
SOURCES = (0.25, 0.5, 1.5)  # beta
THRESHOLDS = {"lazy": 1e3, "rich": 1e-2}  # c
WIDTH = 4 * 10**15  # the start's noise c/sqrt(width) is far below the smallest entry of the signal
FEATURES, MANY, EQUATION_ONLY = 256, 1024, 1500  # K; at the last only equation (1) is integrated
DECADES = 2
COLORS = {0.25: "#0072B2", 0.5: "#D55E00", 1.5: "#009E73"}  # of Okabe and Ito, told apart by the colour-blind


def sweep(
    directory: Path, features: int, sources: tuple[float, ...], regimes: tuple[str, ...], excess_error: float
) -> linphase.Results:
    """Networks of one output on K aligned features without noise, beta and c varied."""
    config = linphase.parse_config(
        {
            "name": f"power_laws_{features}",
            "task": {
                "dimension": features,
                "output_dimension": 1,
                "rank": 1,
                "noise": 0.0,
                "capacity_exponent": CAPACITY,
            },
            "grid": {
                "init_variance": [THRESHOLDS[regime] / WIDTH for regime in regimes],
                "width": [WIDTH],
                "task.source_exponent": list(sources),
            },
            "dynamics": {"tolerance": 1e-4},
            "stop": {"excess_error": excess_error},
            "record": {"snapshots": 200},
        }
    )
    return linphase.sweep(config, directory / f"{features}")


def predicted(regime: str, source: float) -> float:
    """The exponent of large K: beta lazy; rich 2 beta/(1 + beta) for beta < 1, beta above."""
    return source if regime == "lazy" or source > 1 else 2 * source / (1 + source)


def fit_end(features: int, regime: str, source: float) -> float:
    """The time at which the fit ends: the last feature is then about to be learned.

    lambda_K 2 c t = 0.05 lazy. Rich the rate is 2 ||A||, which grows as t^((1 - beta)/(1 + beta)) for beta < 1 and
    ends at 2 ||A*|| above: lambda_K t^(2/(1 + beta)) = 0.05 or lambda_K t = 0.05.
    """
    last = 0.05 * features**CAPACITY
    return last / (2 * THRESHOLDS["lazy"]) if regime == "lazy" else last ** min((1 + source) / 2, 1)


def with_tail(features: int, source: float, error: Array) -> Array:
    """The error as of infinitely many features: those beyond K, K^(-alpha beta)/(alpha beta), are never learned."""
    return np.asarray(error + features ** (-CAPACITY * source) / (CAPACITY * source))


def exponent(time: Array, error: Array, end: float) -> float:
    """Minus the slope of log(error) over log(time) in the decades before `end`, at 100 evenly spaced places."""
    at = np.geomspace(end / 10**DECADES, end, 100)
    logs = np.interp(np.log(at), np.log(time), np.log(error))
    return -float(np.polyfit(np.log(at), logs, 1)[0])


def curve(results: linphase.Results, regime: str, source: float) -> tuple[Array, Array]:
    """Time and error sum_k lambda_k (w_k - w*_k)^2, with the tail, of a trained run."""
    runs = results.runs
    (run,) = runs[(runs["source_exponent"] == source) & np.isclose(runs["threshold"], THRESHOLDS[regime])].itertuples()
    kept = results.trajectory(run.run_id)
    features = int(run.dimension)
    trace = float(np.sum(np.arange(1, features + 1.0) ** -CAPACITY))  # errors are divided by d_out tr Sigma
    return kept.time[1:], with_tail(features, source, kept.test_error[1:] * trace)


def equation_1(features: int, regime: str, source: float) -> tuple[Array, Array]:
    """The same of equation (1), by Radau on the 2c-balanced network of width 1, W2 = sqrt(2c), W1 = 0, whose flow it is.

    (docs/theory.md, "It is the flow of a 2c-balanced network")
    """
    keys = {"dimension": features, "output_dimension": 1, "rank": 1, "noise": 0.0}
    task = draw_task(TaskConfig(**keys, capacity_exponent=CAPACITY, source_exponent=source))
    spectrum, signal = np.arange(1, features + 1.0) ** -CAPACITY, task.solution[0]

    def velocity(_: float, state: Array) -> Array:
        G = spectrum * (state[0] * state[1:] - signal)
        return np.concatenate([[-state[1:] @ G], -state[0] * G])

    def slopes(_: float, state: Array) -> csc_array:
        W2, W1 = state[0], state[1:]
        cross = -spectrum * (2 * W2 * W1 - signal)
        corner = np.array([[-spectrum @ W1**2]])
        return block_array([[corner, cross[None]], [cross[:, None], diags_array(-(W2**2) * spectrum)]], format="csc")

    end = fit_end(features, regime, source)
    start = np.concatenate([[np.sqrt(2 * THRESHOLDS[regime])], np.zeros(features)])
    at = np.geomspace(end / 10**DECADES, end, 100)
    found = solve_ivp(velocity, (0, end), start, method="Radau", jac=slopes, rtol=1e-7, atol=1e-10, t_eval=at).y
    return at, with_tail(features, source, spectrum @ (found[0] * found[1:] - signal[:, None]) ** 2)


@styled
def figure(results: linphase.Results) -> Figure:
    """Error over time, lazy above, rich below, with the predicted slopes."""
    drawn = Figure(figsize=(inches(COLUMN_WIDTH), inches(1.3 * COLUMN_WIDTH)), layout="constrained")
    for ax, regime in zip(drawn.subplots(2, 1), THRESHOLDS, strict=True):
        draw_curves(ax, results, regime)
    return drawn


def draw_curves(ax: Axes, results: linphase.Results, regime: str) -> None:
    """The error of one regime over 2 c t or t, thick where it was fitted, and beside it the predicted slope."""
    scale = 2 * THRESHOLDS["lazy"] if regime == "lazy" else 1.0
    for source, color in COLORS.items():
        time, error = curve(results, regime, source)
        end = fit_end(FEATURES, regime, source)
        fitted = (time >= end / 10**DECADES) & (time <= end)
        ax.plot(scale * time, error, color=color, linewidth=stroke(0.8))
        ax.plot(scale * time[fitted], error[fitted], color=color, linewidth=stroke(2.2))
        at = np.array([end / 10**DECADES, end])
        middle = np.exp(np.interp(np.log(np.sqrt(at.prod())), np.log(time), np.log(error)))
        slope = predicted(regime, source)
        ax.plot(scale * at, 0.4 * middle * (at / np.sqrt(at.prod())) ** -slope, color="0.25",
                linestyle=(0, (3, 2)), linewidth=stroke(0.9))  # fmt: skip
        ax.annotate(rf"$\beta = {source:g}$, $t^{{-{slope:.3g}}}$", (scale * end, error[fitted][-1]), color=color,
                    xytext=(points(4), points(3)), textcoords="offset points", fontsize=points(7.5))  # fmt: skip
    ax.set(xscale="log", yscale="log", xlim=(0.3, 1e6 if regime == "lazy" else 3e5), ylim=(1e-7, 20))
    ax.set_xlabel(r"time $2 c t$" if regime == "lazy" else r"time $t$")
    ax.set_ylabel("test error, tail added")
    c = rf"10^{{{round(np.log10(THRESHOLDS[regime]))}}}"
    ax.set_title(rf"{regime}, $c = {c}$, $K = {FEATURES}$", fontsize=points(8), pad=points(3))
    ax.text(0.03, 0.04, "thick: fitted\ndashed: slope of large $K$", transform=ax.transAxes, fontsize=points(7))
    set_ticks(ax)


def found(directory: Path, tables: Tables, *, quick: bool) -> tuple[linphase.Results, Mapping[str, float]]:
    """The trained networks of the figure, and every exponent; tables are printed as they fill."""
    features = 64 if quick else FEATURES
    kept = {features: sweep(directory, features, SOURCES, tuple(THRESHOLDS), 1e-8)}
    trained = [(features, regime, source) for regime in THRESHOLDS for source in SOURCES]
    if not quick:
        kept[MANY] = sweep(directory, MANY, (0.5,), ("rich",), 1e-4)
        trained.append((MANY, "rich", 0.5))
    numbers = {}
    for K, regime, source in trained:
        end = fit_end(K, regime, source)
        by_training = exponent(*curve(kept[K], regime, source), end)
        by_equation = exponent(*equation_1(K, regime, source), end)
        numbers[f"{regime}, beta = {source:g}, K = {K}"] = by_training
        numbers[f"{regime}, beta = {source:g}, K = {K}, equation (1)"] = by_equation
        add(tables, "Exponents of the error, fitted", {
            "": regime, "beta": f"{source:g}", "K": f"{K:,}", "trained": f"{by_training:.3f}",
            "equation (1)": f"{by_equation:.3f}", "large K": f"{predicted(regime, source):.3f}",
        })  # fmt: skip
    for regime, source in [] if quick else [(regime, source) for regime in THRESHOLDS for source in SOURCES]:
        by_equation = exponent(*equation_1(EQUATION_ONLY, regime, source), fit_end(EQUATION_ONLY, regime, source))
        numbers[f"{regime}, beta = {source:g}, K = {EQUATION_ONLY}, equation (1)"] = by_equation
        add(tables, "Equation (1) alone, of more features", {
            "": regime, "beta": f"{source:g}", "K": f"{EQUATION_ONLY:,}", "equation (1)": f"{by_equation:.3f}",
            "large K": f"{predicted(regime, source):.3f}",
        })  # fmt: skip
    return kept[features], numbers


def measure(settings: Settings) -> Finding:
    """Exponents trained, of equation (1), and of large K."""
    tables: Tables = {}
    directory = ROOT / "results" / "power_laws"
    _, numbers = found(directory, tables, quick=settings.quick)
    trained = [name for name in numbers if f"{name}, equation (1)" in numbers]
    off = max(abs(numbers[name] - numbers[f"{name}, equation (1)"]) for name in trained)
    told = "; ".join(f"{name}: {numbers[name]:.3f}" for name in trained if "beta = 0.5," in name)
    return Finding(f"{told}; training and equation (1) differ by at most {off:.1g}", None, tables, dict(numbers))


SECTION = Section(
    title="Power laws of the error",
    measured="""No speed. Networks of one output on K features with lambda_k = k^-2 and w*_k^2 lambda_k = k^(-2 beta - 1), without
noise, trained by the flow from Gaussian starts of width 4 10^15 at c = 1000 (lazy) and c = 0.01 (rich): the exponent of
sum_k lambda_k (w_k - w*_k)^2, to which the features beyond K are added, K^(-2 beta)/(2 beta), fitted over two decades of
time, which end where lambda_K 2 c t = 0.05 (lazy), lambda_K t^(2/(1 + beta)) = 0.05 (rich, beta < 1) or lambda_K t =
0.05 (rich, beta > 1). Beside it that of equation (1), by Radau, and of large K: beta, and rich 2 beta/(1 + beta) for
beta < 1 (Bordelon et al. 2024, arXiv:2409.17858). What is trained is kept in results/power_laws and not trained again:
the time below is that of the fits. `python -m benchmarks.power_laws` does this alone, and draws docs/power_laws.png.""",
    bar="none: the exponents beside those of large K",
    measure=measure,
)


@click.command()
@click.option("--scratch", type=click.Path(path_type=Path), default=ROOT / "results" / "power_laws",
              show_default=False, help="Where the sweeps are kept; not committed.")  # fmt: skip
def main(scratch: Path) -> None:
    """Train what is missing, fit, and draw."""
    results, _ = found(scratch, {}, quick=False)
    file = ROOT / "docs" / "power_laws.png"
    save(figure(results), file, {"Title": "linphase: power laws of the error"})
    click.echo(f"Figure: {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
