"""`linphase classify`, `status`, `export` and `columns`: what is in a results directory."""

import gc
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linphase.cli.options import cuts_options, loaded_part, results_argument, where_option
from linphase.cli.output import (
    check_csv,
    check_directory,
    console,
    count_table,
    duration,
    echo,
    echo_exactly,
    write_csv,
    write_parquet,
)
from linphase.errors import ConfigError
from linphase.model.regime import REGIMES, Cuts

if TYPE_CHECKING:
    from linphase.runs.spec import RunSpec
    from linphase.store.results import Results


@click.command()
@results_argument
@where_option
@cuts_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="FILE.csv with the regime of every run.")
def classify(results: Path, where: Sequence[str], cuts: Cuts, output: Path | None) -> None:
    """Classify stored runs again by another criterion or other cuts.

    Nothing is trained.

    \b
    Example:
      linphase classify results/quickstart --criterion speedup --bulk-cut 0.3 -o regimes.csv
      linphase classify results/quickstart --where gamma_w=2
    """
    from linphase.diagram.outcomes import outcomes

    if output is not None:
        check_csv(output)
    runs = loaded_part(results, where).runs
    outcome = outcomes(runs, cuts)
    console().print(count_table(runs, outcome))
    if output is not None:
        shares = [cuts.column(name) for name in ("signal_active", "bulk_active")]
        coordinates = ["run_id", "gamma_sigma2", "gamma_w", "init_variance", "width", "replicate", "status"]
        table = runs[[*coordinates, *shares]].assign(regime=outcome)
        write_csv(table, output)
        echo(f"Regimes: {output}")


@click.command()
@results_argument
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(results: Path, as_json: bool) -> None:
    """Print how far a sweep is, and the time that is left.

    It counts the runs that are done, missing, failed and diverged, the regimes, and the time spent.

    \b
    Example:
      linphase status results/quickstart
      linphase status results/quickstart --json
    """
    from linphase.diagram.outcomes import OUTCOMES, outcomes
    from linphase.runs.records import AS_ASKED
    from linphase.runs.spec import NUMERICS_VERSION
    from linphase.store.results import load
    from linphase.sweeps.plan import available_cores

    # A hundred thousand runs in two seconds: read what is shown only, and seldom look for garbage among them.
    gc.set_threshold(200_000)
    loaded = load(results, ["elapsed_s", "signal_active", "bulk_active", "width", "rank", "noise"])
    runs, missing, specs = loaded.runs, loaded.missing(), loaded.asked.specs
    finished = runs[runs["status"] != "failed"]
    spent = float(finished["elapsed_s"].sum())
    left = 0.0 if not missing else None
    if missing and len(missing) < len(specs):
        to_do = _total_flops(missing)
        here = float(runs.loc[loaded.numerics >= NUMERICS_VERSION, "elapsed_s"].sum())
        left = to_do * here / max(1.0, _total_flops(list(specs.values())) - to_do)
    older = loaded.numerics[(loaded.numerics < NUMERICS_VERSION) & runs["status"].ne("failed").to_numpy(dtype=bool)]
    cores = available_cores()
    counts = outcomes(finished).value_counts()
    regimes = {name: int(counts.get(name, 0)) for name in OUTCOMES if name in counts or name in REGIMES}
    facts: dict[str, Any] = {
        "expected": len(specs),
        "done": len(specs) - len(missing),
        "levels": _levels(loaded, missing),
        "by_older_numerics": {str(version): int((older == version).sum()) for version in sorted(set(older.tolist()))},
        "superseded": {str(version): count for version, count in loaded.superseded.items()},
        "strangers": loaded.strangers,
        "missing": len(missing),
        "failed": int(runs["status"].eq("failed").sum()),
        "diverged": int(runs["status"].eq("diverged").sum()),
        "unconverged": int((~finished["status"].isin(AS_ASKED)).sum()),
        "regimes": regimes,
        "elapsed_s": round(spent, 3),
        "left_s": None if left is None else round(left / cores, 3),
        "cores": cores,
    }
    if as_json:
        echo(json.dumps(facts, indent=2))
        return
    echo(f"{loaded.path}: {facts['done']} of {facts['expected']} runs done, {facts['missing']} missing")
    for level in facts["levels"]:
        runs_of = "not known before" if level["runs"] is None else f"{level['done']} of {level['runs']} runs done"
        echo(f"  level {level['level']} of {loaded.asked.deepest}: {runs_of}")
    for version, count in facts["by_older_numerics"].items():
        echo(
            f"of the missing, {count} are there by numerics version {version} and shown; linphase sweep trains them "
            f"again by this linphase's, {NUMERICS_VERSION}"
        )
    for version, count in facts["superseded"].items():
        echo(f"{count} runs by numerics version {version} are not shown, as a higher version's are there")
    echo(f"failed: {facts['failed']}, diverged: {facts['diverged']}, not converged: {facts['unconverged']}")
    echo("regimes: " + ", ".join(f"{name} {count}" for name, count in regimes.items()))
    echo(f"trained for {duration(spent)} of one core")
    if missing and left is not None:
        echo(f"about {duration(left / cores)} left on {cores} cores")


def _levels(results: "Results", missing: "Sequence[RunSpec]") -> list[dict[str, int | None]]:
    """How far each level of refinement is; runs and done are None where the levels before it do not tell yet."""
    if not results.asked.deepest:
        return []
    ids, told = {spec.run_id for spec in missing}, results.asked.levels
    counts = [(len(level), sum(run_id not in ids for run_id in level)) for level in told]
    further: list[tuple[int | None, int | None]] = [(None, None)] * (results.asked.deepest + 1 - len(told))
    return [{"level": level, "runs": runs, "done": done} for level, (runs, done) in enumerate([*counts, *further])]


def _total_flops(specs: "Sequence[RunSpec]") -> float:
    """The estimated cost of some runs, from at most two thousand of them, evenly spread."""
    from linphase.sweeps.plan import estimated_flops

    sample = specs[:: max(1, len(specs) // 1000)]
    return sum(map(estimated_flops, sample)) * len(specs) / max(1, len(sample))


@click.command()
@results_argument
@click.option("-o", "--output", type=click.Path(path_type=Path, allow_dash=True), required=True,
              help="FILE.csv or FILE.parquet to write; - prints CSV.")  # fmt: skip
@where_option
def export(results: Path, output: Path, where: Sequence[str]) -> None:
    """Write the runs table, one row a run, as CSV or Parquet.

    Parquet keeps the types of the columns, and with each its unit and meaning.

    \b
    Example:
      linphase export results/quickstart -o runs.csv
      linphase export results/quickstart -o runs.parquet
      linphase export results/quickstart -o - | head
      linphase export results/quickstart -o mixed.csv --where regime=mixed
    """
    if str(output) == "-":
        echo_exactly(loaded_part(results, where).runs.to_csv(index=False))
        return
    if output.suffix not in (".csv", ".parquet"):
        raise ConfigError(
            f"-o: a file name ending in .csv or .parquet is required, or - for standard output, found {str(output)!r}"
        )
    check_directory(output)
    loaded = loaded_part(results, where)
    if output.suffix == ".csv":
        write_csv(loaded.runs, output)
    else:
        write_parquet(loaded.runs, loaded.columns, output)
    echo(f"{len(loaded.runs)} runs: {output}")


@click.command()
def columns() -> None:
    """List every stored column with its unit and meaning.

    \b
    Example:
      linphase columns
    """
    from rich.table import Table

    from linphase.store.columns import failures_columns, runs_columns, trajectories_columns

    known = {column.name for column in runs_columns()}
    extra = tuple(column for column in failures_columns() if column.name not in known)
    for title, declared in (
        ("runs/: one row a run", runs_columns()),
        ("trajectories/: lists over time and modes", trajectories_columns()),
        ("failures/: the run's coordinates as in runs/, and", extra),
    ):
        table = Table("column", "type", "unit", "meaning", title=title, title_justify="left", box=None)
        for column in declared:
            table.add_row(column.name, column.type, column.unit, column.meaning)
        console().print(table)
        echo()
