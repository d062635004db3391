"""The report of the benchmarks: what a section is, what it finds, and RESULTS.md rendered from results.json."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import click

from benchmarks.timing import number
from linphase.store.provenance import versions
from linphase.sweeps.plan import available_cores

Row = dict[str, str]
Tables = dict[str, list[Row]]  # rows under captions

VERDICTS = {True: "met", False: "**missed**", None: "no bar"}
TRIAL = "not judged: tiny sizes (--quick)"


@dataclass(frozen=True)
class Settings:
    """quick: tiny sizes, to see that it works. earlier: the stored `numbers` of every section measured before."""

    quick: bool = False
    large: bool = False
    earlier: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What a section found; without tables nothing could be measured. met: whether the bar was, None without one."""

    result: str
    met: bool | None
    tables: Tables
    numbers: dict[str, float] = field(default_factory=dict)  # for other sections, and for comparison later


@dataclass(frozen=True)
class Section:
    """One question about speed: what is measured, what was promised, and how to measure it."""

    title: str
    measured: str
    bar: str
    measure: Callable[[Settings], Finding]


def add(tables: Tables, caption: str, row: Row) -> None:
    """Put a row under its caption, and print it as it comes."""
    rows = tables.setdefault(caption, [])
    if not rows:
        click.echo(f"\n{caption}\n  " + " | ".join(row))
    rows.append(row)
    click.echo("  " + " | ".join(value.rjust(len(key)) for key, value in row.items()))


def machine() -> dict[str, str]:
    """What was measured on: versions, processor and cores; no host, user or path."""
    return {**versions(), "cores": str(available_cores())}


def stored(finding: Finding, took: float, quick: bool) -> dict[str, Any]:
    """A finding as results.json keeps it."""
    today = date.today().isoformat()
    return {**asdict(finding), "date": today, "took": round(took, 1), "quick": quick, "machine": machine()}


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The stored findings by section number; none where the file does not exist."""
    if not path.exists():
        return {}
    findings: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return findings


def write(directory: Path, findings: dict[str, dict[str, Any]], sections: dict[str, Section]) -> None:
    """Write results.json and render RESULTS.md from it."""
    directory.mkdir(parents=True, exist_ok=True)
    ordered = {key: findings[key] for key in sections if key in findings}
    text = json.dumps(ordered, indent=1, ensure_ascii=False) + "\n"
    (directory / "results.json").write_text(text, encoding="utf-8")
    (directory / "RESULTS.md").write_text(page(ordered, sections), encoding="utf-8")


def page(findings: dict[str, dict[str, Any]], sections: dict[str, Section]) -> str:
    """RESULTS.md."""
    latest = max(findings.values(), key=lambda finding: str(finding["date"]))["machine"]
    overview = [
        {
            "": key,
            "question": sections[key].title,
            "bar": sections[key].bar,
            "found": finding["result"],
            "verdict": verdict(finding),
        }
        for key, finding in findings.items()
    ]
    parts = "\n".join(section_text(key, sections[key], finding, latest) for key, finding in findings.items())
    return f"""# Speed

Made by `python -m benchmarks`. Every ratio was measured side by side: the two in one process and in turns, the ratio
taken turn by turn; given are the median and, in parentheses, smallest and largest of the repeats (over cells: the
quartiles). One BLAS thread unless said otherwise. Seconds are for orientation: they depend on the machine.

{machine_text(latest)}

{markdown(overview)}

{parts}"""


def section_text(key: str, section: Section, finding: dict[str, Any], latest: dict[str, str]) -> str:
    """One section of RESULTS.md."""
    tables = "\n\n".join(f"{caption}:\n\n{markdown(rows)}" for caption, rows in finding["tables"].items())
    elsewhere = "" if finding["machine"] == latest else f"\n\n{machine_text(finding['machine'])}"
    return f"""## {key}. {section.title}

{section.measured}

- Bar: {section.bar}
- Result: {finding["result"]}
- Verdict: {verdict(finding)}

{tables}

Measured {finding["date"]}, in {number(finding["took"])} s.{elsewhere}
"""


def verdict(finding: dict[str, Any]) -> str:
    """Whether the bar was met, of a stored finding."""
    return TRIAL if finding["quick"] else VERDICTS[finding["met"]]


def machine_text(made: dict[str, str]) -> str:
    """The machine in one sentence."""
    return (
        f"Machine: {made['cpu']}, {made['cores']} cores; linphase {made['linphase_version']}, Python "
        f"{made['python_version']}, numpy {made['numpy_version']}, scipy {made['scipy_version']}, {made['blas']}."
    )


def markdown(rows: list[Row]) -> str:
    """Rows with the same keys as a Markdown table."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([row[key] for key in head] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
