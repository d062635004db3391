"""The paper's Figure 2 beside its statements: figures, a summary and a page with a number for every claim.

    linphase sweep --config configs/paper_figure2.toml
    linphase sweep --config configs/paper_figure2_flow.toml
    python -m benchmarks.paper_figure2

Writes results/paper_figure2/README.md, summary.csv and the five panels as PNG and PDF.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd

import linphase
from linphase.diagram.outcomes import outcomes
from linphase.figures.diagrams import phase_diagram
from linphase.figures.style import save

ROOT = Path(__file__).parents[1]
OUT = ROOT / "results" / "paper_figure2"
PANELS = ("test-error", "stable-rank", "iterations", "distance", "regime")
SUMMARY = (
    "gamma_sigma2", "gamma_w", "width", "status", "regime", "signal_active", "bulk_active", "min_test_error",
    "stable_rank_at_min", "rank_at_min", "iterations_at_min", "distance_to_self_consistent", "final_train_error",
    "final_test_error", "gradient_evaluations",
)  # fmt: skip
MARGIN = 0.1  # in exponents: cells this close to a line are on neither side of it


def draw(results: linphase.Results, name: str) -> None:
    """The panels of one sweep, as PNG and PDF."""
    for panel in PANELS:
        figure = phase_diagram(results.runs, results.axes, panel)
        for suffix in ("png", "pdf"):
            save(figure, OUT / f"{name}_{panel}.{suffix}", {"Title": f"{name}: {panel}"})


# Bands of gamma_sigma2 + gamma_w, away from the lines at d = 200; never pooled: most cells of the window are balanced.
BANDS = {"balanced": (-2.0, 0.4), "mixed": (0.5, 0.9), "lazy": (1.0, 2.0)}


def bands(descent: pd.DataFrame, flow: pd.DataFrame) -> str:
    """The smallest test error and the rank there, by band, beside what it is to be held against."""
    first = flow.iloc[0]
    k = int(first["rank"])
    lines = [
        "| band | gamma_sigma2 + gamma_w | cells | smallest test error, median (range): descent | flow | below 0.2 | benefit | "
        f"stable rank | values above s_1/5 (k = {k}) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (low, high) in BANDS.items():
        slow, full = (_in_band(runs, low, high) for runs in (descent, flow))
        error = full["min_test_error"]
        lines.append(
            f"| {name} | {low} to {high} | {len(full)} | {_spread(slow['min_test_error'])} | {_spread(error)} | "
            f"{(error < 0.2).mean():.0%} | {full['benefit'].median():.2f} | {full['stable_rank_at_min'].median():.1f} | "
            f"{full['rank_at_min'].median():.0f} |"
        )
    told = {name: first[f"{name}_test_error"] for name in ("optimal", "balanced", "lazy", "zero")}
    return "\n".join(lines) + (
        "\n\nTo be held against, of this task: optimal shrinkage {optimal:.3f}, the limits c to 0 {balanced:.3f} and c to "
        "infinity {lazy:.3f} of the closed form, A = 0 {zero:.3f}.".format(**told)
    )


def _in_band(runs: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """Cells of a band with gamma_w > 1, below the infinite-noise line."""
    total, quiet = runs["gamma_sigma2"] + runs["gamma_w"], 2 * runs["gamma_sigma2"] + runs["gamma_w"] < -MARGIN
    return runs[(runs["gamma_w"] > 1) & quiet & (total > low) & (total < high)]


def _spread(error: pd.Series) -> str:
    return f"{error.median():.3f} ({error.min():.3f} to {error.max():.3f})"


def statements(runs: pd.DataFrame) -> list[tuple[str, str, str]]:
    """The paper's statements on its Figure 2, each with what was measured, and what that says of it at d = 200."""
    x, y = runs["gamma_sigma2"], runs["gamma_w"]
    wide = y > 1
    k = int(runs["rank"].iloc[0])
    balanced, mixed, lazy = (_in_band(runs, *band) for band in BANDS.values())
    error = "min_test_error"
    found = [
        (
            "Active region (gamma_sigma2 + gamma_w < 1): small test error",
            f"balanced band: median {balanced[error].median():.3f}; mixed band: median {mixed[error].median():.3f}, "
            f"{(mixed[error] < 0.2).mean():.0%} of its cells below 0.2",
            "in the balanced band; in the mixed one not at this d",
        ),
        (
            f"... and about the right rank ({k})",
            f"singular values above s_1/5, median: balanced band {balanced['rank_at_min'].median():.0f}, mixed band "
            f"{mixed['rank_at_min'].median():.0f}",
            "in the balanced band; in the mixed one not at this d",
        ),
        (
            "Lazy region (gamma_sigma2 + gamma_w > 1, below infinite noise): large test error",
            f"median {lazy[error].median():.3f} ({len(lazy)} cells)",
            _verdict(lazy[error].median() > 0.45),
        ),
        (
            "... and the rank overestimated",
            f"stable rank {lazy['stable_rank_at_min'].median():.1f} (median), singular values above s_1/5: "
            f"{lazy['rank_at_min'].median():.0f} (median)",
            _verdict(lazy["rank_at_min"].median() > 1.3 * k),
        ),
    ]
    fewest = [
        (row["gamma_sigma2"][row["iterations_at_min"].idxmin()] + width)
        for width, row in runs[wide & (2 * x + y < 0)].groupby("gamma_w")
    ]
    found.append(
        (
            "Fewest iterations near the line between mixed and lazy, gamma_sigma2 + gamma_w = 1",
            f"for gamma_w > 1 they are at gamma_sigma2 + gamma_w = {np.median(fewest):.2f} (median over widths; "
            f"{np.min(fewest):.2f} to {np.max(fewest):.2f})",
            _verdict(abs(np.median(fewest) - 1) <= MARGIN),
        )
    )
    distance = np.log(runs["distance_to_self_consistent"])
    below, above = wide & (2 * x + y < -MARGIN), wide & (2 * x + y > MARGIN)
    found.append(
        (
            "Distance small for gamma_w > 1 below the infinite-noise line",
            f"ln distance below -4 in {np.mean(distance[below] < -4):.0%} of those cells (median {distance[below].median():.1f}); "
            f"above the line in {np.mean(distance[above] < -4):.0%} (median {distance[above].median():.1f})",
            _verdict(np.mean(distance[below] < -4) > 0.5 > np.mean(distance[above] < -4)),
        )
    )
    return found


def _verdict(holds: bool) -> str:
    return "yes" if holds else "**no**"


def at_the_top(runs: pd.DataFrame) -> str:
    """ln distance at gamma_w = 2.8, where the published contours are read."""
    top = runs[runs["gamma_w"] == runs["gamma_w"].max()]
    values = []
    for place in (-0.65, -1.6):
        cell = top.loc[(top["gamma_sigma2"] - place).abs().idxmin()]
        values.append(f"{np.log(cell['distance_to_self_consistent']):.1f} at gamma_sigma2 = {cell['gamma_sigma2']:.2f}")
    return ", ".join(values)


def contours(runs: pd.DataFrame) -> str:
    """gamma_sigma2 at which ln distance passes the paper's levels, for some widths."""
    lines = ["| gamma_w | -7 | -4 | 0 |", "|---|---|---|---|"]
    for width in sorted(runs["gamma_w"].unique())[12::4]:
        row = runs[runs["gamma_w"] == width].sort_values("gamma_sigma2")
        ln = np.log(row["distance_to_self_consistent"].to_numpy())
        places = []
        for level in (-7, -4, 0):
            above = np.flatnonzero((ln[1:] >= level) & (ln[:-1] < level))
            places.append(f"{row['gamma_sigma2'].iloc[above[-1] + 1]:.2f}" if above.size else "-")
        lines.append(f"| {width:.2f} | " + " | ".join(places) + " |")
    return "\n".join(lines)


def page(descent: pd.DataFrame, flow: pd.DataFrame) -> str:
    """results/paper_figure2/README.md."""
    claims = "\n".join(f"| {claim} | {number} | {verdict} |" for claim, number, verdict in statements(descent))
    counts = outcomes(flow).value_counts()
    regimes = ", ".join(f"{name} {count}" for name, count in counts.items())
    stops = ", ".join(f"{name} {count}" for name, count in descent["status"].value_counts().items())
    figures_of = "\n".join(
        f"| ![{panel} by gradient descent](paper_figure2_{panel}.png) | ![{panel} by the flow](paper_figure2_flow_{panel}.png) |"
        for panel in PANELS
    )
    return f"""# The paper's Figure 2

Tu, Aranguri and Jacot, arXiv:2405.17580, Figure 2: d = 200, k = 5, gamma_sigma2 in [-3, 0], gamma_w in [0, 2.8], 30 x 30
cells. Left by the paper's protocol (`configs/paper_figure2.toml`: alternating gradient descent, its learning rate and
stop rule; {stops}), right by gradient flow to convergence (`configs/paper_figure2_flow.toml`:
{int(flow["converged"].sum())} of {len(flow)} cells converged, on average {flow["gradient_evaluations"].mean():.0f} gradient evaluations;
{regimes}).

## By band

Cells with gamma_w > 1, below the infinite-noise line. Benefit: 0 as good as optimal shrinkage, 1 no better than lazy training.

{bands(descent, flow)}

That mixed training has a small test error is a statement on large d: on the line gamma_sigma2 + gamma_w = 0.75 the closed form is
below 0.1 only from d = 10^6.25 on (`linphase theory --asymptotic`). [../paper_claims](../paper_claims/README.md) has the claims with intervals,
over d.

## The paper's statements

By its own protocol, at d = 200 and one draw, in the bands above; cells within {MARGIN} of the infinite-noise line count to
neither side. "Fewest iterations" is a yes within {MARGIN} of the line.

| statement | measured | confirmed |
|---|---|---|
{claims}

ln of the largest distance at gamma_w = {descent["gamma_w"].max()}: to the Euler iteration (as the paper draws it; published about
-4 and -11): {at_the_top(descent)}. Of the flow to the exact solution: {at_the_top(flow)}.
Where the distance to the Euler iteration passes the published levels (first gamma_sigma2 of the grid at or above):

{contours(descent)}

Only the runs taken to convergence tell mixed from balanced: under the paper's stop rule most runs end at the smallest
test error, when the bulk has hardly moved.

| gradient descent, the paper's protocol | gradient flow to convergence |
|---|---|
{figures_of}

Numbers of every cell: [summary.csv](summary.csv). Made by `python -m benchmarks.paper_figure2`.
"""


@click.command()
def main() -> None:
    """Draw the panels, write the summary and the page."""
    descent = linphase.load(ROOT / "results" / "paper_figure2_gd")
    flow = linphase.load(ROOT / "results" / "paper_figure2_flow")
    draw(descent, "paper_figure2")
    draw(flow, "paper_figure2_flow")
    table = pd.concat([part.runs[list(SUMMARY)].assign(kind=part.runs["kind"]) for part in (descent, flow)])
    table.to_csv(OUT / "summary.csv", index=False, float_format="%.6g")
    text = page(descent.runs, flow.runs)
    (OUT / "README.md").write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
