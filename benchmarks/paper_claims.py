"""The paper's statements as measurements at finite d: a number, an interval and a verdict for each.

    python -m benchmarks.paper_claims

Trains what is missing in a scratch directory (resumable: call it again), then writes results/paper_claims/README.md,
claims.csv and three figures. Half an hour on two cores at most.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import click
import pandas as pd

from benchmarks.claim_figures import FIGURES, trained_errors
from benchmarks.claim_sweeps import RANK, fill
from benchmarks.claims import CONFIRMED, LATER, REFUTED, Claim, Measured, claims
from benchmarks.report import markdown
from linphase.figures.style import save

ROOT = Path(__file__).parents[1]
OUT = ROOT / "results" / "paper_claims"


def table(found: Sequence[tuple[Claim, Measured]]) -> pd.DataFrame:
    """claims.csv: a row a claim."""
    return pd.DataFrame(
        [
            {
                "statement": claim.statement,
                "number": claim.number,
                **asdict(measured.estimate),
                "d": measured.dimension,
                "runs": len(measured.runs),
                "cpu_s": measured.runs["elapsed_s"].sum(),
                "verdict": measured.verdict,
                "refuted_if": claim.refuted_if,
                "notes": measured.told,
            }
            for claim, measured in found
        ]
    )


def page(rows: pd.DataFrame, runs: int, cpu_minutes: float, minutes: float) -> str:
    """results/paper_claims/README.md."""
    counts = rows["verdict"].value_counts()
    shown = [
        {
            "statement": row["statement"],
            "measured": f"{row['number']}: {digits(row['value'])}",
            "95 % interval": f"{digits(row['low'])} to {digits(row['high'])}",
            "d": str(row["d"]),
            "runs": f"{row['runs']:,}",
            "CPU s": f"{row['cpu_s']:,.0f}",
            "verdict": row["verdict"] if row["verdict"] == CONFIRMED else f"**{row['verdict']}**",
            "refuted if": row["refuted_if"],
            "notes": row["notes"],
        }
        for row in rows.to_dict("records")
    ]
    return f"""# The paper's claims, measured

What Tu, Aranguri and Jacot, arXiv:2405.17580, state of large d (errors and ranks of the regimes, the fewest iterations,
convergence from any start), and exponents that equation (1) implies by a heuristic of ours, as numbers at finite d: gradient flow to
convergence, float64, noise 1, rank {RANK} (4 for the bands at d = 64), width d^4 where it is not varied. sum = gamma_sigma2 + gamma_w, so c = d^sum.
Draws are independent over d (`run.independent_dimensions`). {len(rows)} claims: {", ".join(f"{counts.get(each, 0)} {each}" for each in (CONFIRMED, LATER, REFUTED))}.
"Not at this d": the limit is outside of the interval, and so it is by the closed form of equation (1), whose exponent moves
towards it slowly: to -0.44 at d = 10^15 for the error at sum 0.75, limit -0.5. Intervals are Student's t over replicates, for exponents of d over the points of a weighted line, for the
share of converged runs Clopper and Pearson's. Active cells are told by band, never pooled: most of an active window is balanced.

{runs:,} runs, {cpu_minutes:.0f} minutes of training on one core. This call of `python -m benchmarks.paper_claims` took
{minutes:.1f} minutes; it
trained what was missing.

{markdown(shown)}

A run serves several claims; its seconds count in each. They are wall time with one BLAS thread: CPU time where the cores are
not shared, more where they are.

| | |
|---|---|
| ![smallest test error against d](error_over_d.png) | ![smallest test error against c over the signal's singular value](collapse.png) |
| ![time and value of the smallest test error](trade_off.png) | |

Left above: the closed form at any d, and trained networks. Right above: the error is a function of c over s_k(Y) alone, at d = 64, where
the width is at least about 4 d and above c^2 (below infinite noise; filled marks). Below: the time of the smallest test error against its value, c varied.

Numbers: [claims.csv](claims.csv), those of the trained points [error_over_d.csv](error_over_d.csv).
"""


def digits(value: float) -> str:
    if 0.99 < value < 1:  # a share that is all but whole
        return f"{value:.4f}"
    return f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.2g}"


@click.command()
@click.option("--scratch", type=click.Path(path_type=Path), default=ROOT / "results" / "paper_claims_runs",
              help="Where the sweeps are kept; not committed.")  # fmt: skip
@click.option("--jobs", default=2, show_default=True, help="Worker processes.")
def main(scratch: Path, jobs: int) -> None:
    """Train what is missing, measure every claim, and write the table, the page and the figures."""
    began = perf_counter()
    sweeps = fill(scratch, jobs)
    found = [(claim, claim.measure(sweeps)) for claim in claims()]
    rows = table(found)
    OUT.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        figure = draw(sweeps)
        for suffix in ("png", "pdf"):
            save(figure, OUT / f"{name}.{suffix}", {"Title": name.replace("_", " ")})
    rows.to_csv(OUT / "claims.csv", index=False, float_format="%.6g")
    trained_errors(sweeps).to_csv(OUT / "error_over_d.csv", index=False, float_format="%.6g")
    trained = [each.runs for name, each in sweeps.items() if name != "dimension-theory"]
    cpu_minutes = sum(float(runs["elapsed_s"].sum()) for runs in trained) / 60
    minutes = (perf_counter() - began) / 60
    (OUT / "README.md").write_text(page(rows, sum(map(len, trained)), cpu_minutes, minutes), encoding="utf-8")
    click.echo(rows.drop(columns=["refuted_if"]).to_string(index=False))
    click.echo(f"{minutes:.1f} minutes")


if __name__ == "__main__":
    main()
