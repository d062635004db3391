"""Speed, measured: `python -m benchmarks [--only 1,2] [--quick]` prints its tables and writes benchmarks/RESULTS.md.

The whole takes about half an hour on two cores, which should have nothing else to do. Sections may be measured at
different moments: results.json keeps what was found, and RESULTS.md is rendered from it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks import (
    blas_bound,
    closed_form,
    growth,
    jax_cells,
    power_laws,
    precision,
    report,
    solvers,
    timing,
    torch_baseline,
    width,
    window,
    workers,
)

MODULES = (
    *(blas_bound, width, torch_baseline, solvers, window, workers, precision, growth, closed_form, jax_cells),
    power_laws,
)
SECTIONS = {str(place): module.SECTION for place, module in enumerate(MODULES, start=1)}


def chosen(_: click.Context, __: click.Parameter, text: str | None) -> list[str]:
    """The sections of --only, in order; all without it."""
    wanted = list(SECTIONS) if text is None else [part.strip() for part in text.split(",")]
    unknown = [part for part in wanted if part not in SECTIONS]
    if unknown:
        raise click.BadParameter(f"sections are {', '.join(SECTIONS)}; found {', '.join(map(repr, unknown))}")
    return [key for key in SECTIONS if key in wanted]


@click.command()
@click.option("--only", "keys", callback=chosen, help="Sections to measure, such as 1,2; the others stay as they are.")
@click.option("--quick", is_flag=True, help="Tiny sizes, to see that everything works: no measurement, nothing kept.")
@click.option("--large", is_flag=True, help="Section 8: d = 1600 too (a quarter of an hour).")
@click.option("--out", type=click.Path(path_type=Path), help="Where results are kept.  [default: benchmarks]")
def main(keys: list[str], quick: bool, large: bool, out: Path | None) -> None:
    """Measure how fast linphase is, against the bars it was promised to pass."""
    with TemporaryDirectory() as nowhere:
        directory = out or (Path(nowhere) if quick else Path(__file__).parent)
        findings = report.read(directory / "results.json")
        for key in keys:
            section = SECTIONS[key]
            click.echo(f"\n{key}. {section.title}\n   Bar: {section.bar}")
            earlier = {name: finding["numbers"] for name, finding in findings.items() if not finding["quick"]}
            settings = report.Settings(quick, large, earlier)
            found: list[report.Finding] = []
            took = timing.seconds(lambda: found.append(section.measure(settings)))  # noqa: B023 - called at once
            click.echo(f"\n   {found[0].result}")
            if not found[0].tables:  # what was measured before stays
                continue
            findings[key] = report.stored(found[0], took, quick)
            report.write(directory, findings, SECTIONS)  # after each, so that nothing measured is lost
            click.echo(f"   Bar: {report.verdict(findings[key])}; took {took:.0f} s")


if __name__ == "__main__":
    main()
