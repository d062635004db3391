"""Writes what is made from the code: docs/configuration.md, docs/columns.md, configs/linphase.schema.json, the tables
of keys in docs/knobs.md and the list of panels in docs/commands.md.

    python docs/generate.py

A test holds the files equal to the code.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from pydantic.fields import FieldInfo

from linphase.cli.panel_list import panel_groups
from linphase.config.config import parse_config
from linphase.config.keys import LEVELS, REPLICATES, axis_keys, declared, show
from linphase.config.schema import SCHEMA_FILE, config_schema_text, sentence, starter, tables, used_with
from linphase.config.toml import toml_value
from linphase.errors import LinphaseError
from linphase.model.network import Start
from linphase.model.section import Section
from linphase.pages.markup import Table, markdown
from linphase.runs.training import train_spec
from linphase.store.columns import Column, failures_columns, runs_columns, trajectories_columns

ROOT = Path(__file__).parents[1]
GENERATED = "<!-- made by python docs/generate.py: change the declarations instead -->\n\n"


_CONFIGURATION = f"""\
# Configuration

A sweep is a TOML file. Only `name` and `[grid]` are required. `linphase init` writes one to begin with; any key can
be set from the command line, as in `--set task.dimension=200`. A file is checked completely before anything runs, and
every problem is named with its key. Adding cells or replicates to a file and sweeping again runs only the new ones; a
change of anything else that decides the numbers asks for another name or `--out`.

**In an editor.** Taplo and Even Better TOML complete and check the keys if the first line of the file is `#:schema
./{SCHEMA_FILE}` and the schema lies beside it: `linphase init` writes both, `linphase schema` prints the schema. It
knows keys, types and bounds; linphase itself checks what must hold between keys.

## An example

```toml
name = "my_sweep"                    # results go to results/my_sweep unless --out says otherwise
[task]
dimension = 64                       # d; A* and E are (d, d)
rank = 4
noise = 1.0                          # standard deviation of E's entries
[grid]                               # every combination is a cell
gamma_sigma2 = {{ start = -3.0, stop = 0.0, num = 16 }}   # init variance d^gamma_sigma2; or init_variance itself
gamma_w      = {{ start = 0.0, stop = 2.8, num = 16 }}    # width int(d^gamma_w); or width itself
"task.rank" = [1, 4]                 # any key of task, dynamics, stop or run.precision is an axis
replicates = 1                       # independent draws of task and start
```

A target of your own is `task.target = "Y.npy"`; data of your own are `[data] inputs = "X.npy"`, `outputs = "Y.npy"` and
held-out ones beside them ([own_data.md](own_data.md)).

## `name`

The results go to `results/NAME` unless `--out` says otherwise. 1 to 100 of the characters `A-Z a-z 0-9 . _ -`, the
first of them a letter, a digit or `_`.

## `[grid]`

The axes are exactly one variance key, exactly one width key, and any number of further keys. Every combination of their
values is a cell. An axis is one value, a list of values, or `{{ start, stop, num }}`: evenly spaced, both ends
included. Values are rounded to 12 significant digits, and then used, hashed and stored. The first two axes with
several values span the diagram, unless `--x` and `--y` name others
([quickstart.md](quickstart.md#4-over-any-two-axes)); each combination of the rest is a facet, a diagram of its own."""

_FACETS = """\
Further axes are named in quotes as in `"task.rank" = [1, 4]`, or in a table `[grid.task]`. An axis decides
its key; the value in the key's own section is then not used. They are

{facets}."""

_REFINE = """\
## `[refine]`

The corners of a cell are runs of the grid over variance and width. Where the corners differ in outcome the cell is
split in four, level by level, for every combination of the further axes by itself. Both axes must be evenly spaced. The
outcome of a corner is the regime by the means of the order parameters over its replicates, or diverged, step_limit or
underparameterized where any of its replicates is; failed runs split nothing.

Levels are nested and no part of what identifies a run: raise them in an existing directory, and only what is new is
run. On finer levels corners that share variance and width are one run, that of the smallest gamma_w (the paper's
learning rate is the exception, as it depends on gamma_w itself). If replicates are added later, cells that the fewer
ones alone had split keep those.

An island smaller than a cell of the grid is missed, so begin with 8 cells an axis or more. Stop at the level where a
cell is smaller than the band in which one draw lies (0.06 in gamma_sigma2 at d = 200), or add replicates first. By
theory's labels at d = 200 and k = 5, over the window of Figure 2 with 8 x 8 cells, levels 3, 4 and 5 take 916, 1,790
and 3,536 runs for 4,030, 15,222 and 57,568 of the full grids: 23, 12 and 6 % of the runs for the same area on the wrong
side of a boundary (`tests/config/test_lattice.py`)."""

_EVERY_KEY = """\
## A file with every key

As `linphase init` writes it. A key behind `#` shows its default; take the `#` away to change it.

```toml
{starter}```
"""

_COLUMNS = """\
# Columns

Every stored number. `linphase columns` prints the same list. Results are plain Parquet:
`pandas.read_parquet("results/NAME/runs")` reads them without linphase, and `linphase export` writes them as CSV. The
observables are defined in [theory.md](theory.md#observables). Time is step times learning rate.

A cell of a CSV file is exactly what is stored, even where it begins with =, +, - or @, which a spreadsheet takes for a
formula. Negative numbers begin so, and pandas would read another value if a sign were put before them. Text in the file
is from the configurations, plugins and errors of the sweep. If somebody else made the sweep, import the columns of text
into a spreadsheet as text.

## `runs`: one row for each finished run

The last column names the configuration key that a column repeats."""

_TRAJECTORIES = """\
## `trajectories`: the lists over time and over modes of the same runs

`Results.trajectory(run_id)` reads one run, `Results.final_modes()` every mode of every run at its end."""

_FAILURES = """\
## `failures`: attempts that failed

What was asked for, in the same columns as in `runs`, and"""


def configuration() -> str:
    """The configuration reference."""
    starts = [(name, *_meaning(key)) for name, key in Start.model_fields.items()]
    parts = [
        _CONFIGURATION,
        table(("key", "what it means", "must be"), [*starts, ("replicates", *_meaning(REPLICATES))]),
        _FACETS.format(facets=fill(", ".join(f"`{key}`" for key in axis_keys(declared()) if "." in key), 118)),
    ]
    parts += [_REFINE, table(("key", "default", "what it means", "must be"), [("levels", "0", *_meaning(LEVELS))])]
    for section, (model, fields) in tables().items():
        parts += [f"## `[{section}]`", _purpose(model)]
        rows = []
        for name, field in fields.items():
            rows.append((name, *_told(f"{section}.{name}", field)))
        parts.append(table(("key", "default", "what it means", "must be"), rows))
    parts.append(_EVERY_KEY.format(starter=starter()))
    return GENERATED + "\n\n".join(parts)


def knobs() -> str:
    """docs/knobs.md with its tables of keys made anew."""

    def made(match: re.Match[str]) -> str:
        rows = []
        for key in match["keys"].split():
            section, _, name = key.partition(".")
            _, fields = tables()[section]
            rows.append((f"{section}.{name}", *_told(key, fields[name])))
        return f"{match['head']}{table(('key', 'default', 'what it means', 'must be'), rows)}\n\n<!-- end of keys -->"

    text = (ROOT / "docs" / "knobs.md").read_text(encoding="utf-8")
    told = table(("configuration", "message"), [(given, _refusal(given)) for given in REFUSED])
    head, end = "<!-- refusals -->", "<!-- end of refusals -->"
    text = re.sub(f"{head}.*{end}", lambda _: f"{head}\n\n{told}\n\n{end}", text, flags=re.DOTALL)
    return re.sub(r"(?P<head><!-- keys: (?P<keys>[^>]*) -->\n\n).*?<!-- end of keys -->", made, text, flags=re.DOTALL)


# Configurations that ask for what is not worked out, or means nothing; those of `linphase theory` say so.
_THEORY = "theory: "
REFUSED = (
    'dynamics.kind = "flow", dynamics.label_noise = 0.1',
    'dynamics.kind = "flow", dynamics.batch_size = 4',
    'dynamics.kind = "gd", dynamics.batch_size = 4, dynamics.label_noise = 0.1',
    'dynamics.kind = "gd", dynamics.batch_size = 4, task.samples = 100',
    'dynamics.kind = "gd", dynamics.label_noise = 0.1, task.input_decay = 1.0',
    'dynamics.kind = "modes", dynamics.weight_decay = 0.1',
    'dynamics.weight_decay = 0.1, record.compare = "self_consistent"',
    'init.kind = "lambda_balanced", init.variance_ratio = 2.0',
    'init.kind = "lambda_balanced", dynamics.learning_rate_ratio = 2.0',
    "init.variance_ratio = 2.0, init.gamma_variance_ratio = 1.0",
    "init.gamma_variance_ratio = 40.0",
    "init.richness = 0.0",
    "init.lambda_balance = 1.0",
    'stop.rule = "time"',
    'dynamics.kind = "modes", task.input_decay = 1.0',
    "theory: dynamics.weight_decay = 0.1",
    'theory: dynamics.kind = "gd", dynamics.label_noise = 0.1',
    'theory: init.kind = "lambda_balanced", init.lambda_balance = 0.0',
    'theory: init.kind = "lambda_balanced", init.lambda_balance = 10.0, grid.width = 2',
)


def _refusal(given: str) -> str:
    """The message with which a configuration is refused."""
    keys = given.removeprefix(_THEORY)
    grid = {"grid.gamma_sigma2": -1.0} | ({} if "grid.width" in keys else {"grid.gamma_w": 2.0})
    tables: dict[str, dict[str, Any]] = {}
    told = {key: toml_value(text) for key, text in re.findall(r"([a-z_.0-9]+) = ([^,]+)", keys)}
    for key, value in (grid | told).items():
        section, _, name = key.partition(".")
        tables.setdefault(section, {})[name] = value
    try:
        config = parse_config({"name": "refused", **tables})
        if given.startswith(_THEORY):
            train_spec(next(config.predicted().expand()))
    except LinphaseError as error:
        return str(error).removeprefix("config: ")
    raise SystemExit(f"docs/generate.py: {given} is not refused any more")


def commands() -> str:
    """docs/commands.md with its list of panels made anew."""
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    groups = "\n\n".join(f"**{group}**\n\n{table(('panel', 'what it shows'), rows)}" for group, rows in panel_groups())
    head, end = "<!-- panels -->", "<!-- end of panels -->"
    return re.sub(f"{head}.*{end}", lambda _: f"{head}\n\n{groups}\n\n{end}", text, flags=re.DOTALL)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return markdown([Table(columns, rows)], "").rstrip()


def _purpose(model: type[Section]) -> str:
    """The first line of a section's docstring."""
    return fill((model.__doc__ or "").splitlines()[0], 118)


def _told(key: str, field: FieldInfo) -> tuple[str, str, str]:
    """The default of a key, what it means and what it must be."""
    use = used_with(key)
    meaning = f"{sentence(field.title or '')}.{f' Used with {use}.' if use else ''}"
    default = "required" if field.is_required() else "not set" if field.default is None else show(field.default)
    return default, meaning, field.description or ""


def _meaning(field: FieldInfo) -> tuple[str, str]:
    return f"{sentence(field.title or '')}.", field.description or ""


def columns() -> str:
    """The columns reference."""
    known = {column.name for column in runs_columns()}
    names = ("column", "type", "unit", "meaning")
    parts = [
        _COLUMNS,
        table((*names, "key"), [(*_column(column), column.key or "") for column in runs_columns()]),
        _TRAJECTORIES,
        table(names, [_column(column) for column in trajectories_columns()]),
        _FAILURES,
        table(names, [_column(column) for column in failures_columns() if column.name not in known]),
    ]
    return GENERATED + "\n\n".join(parts) + "\n"


def _column(column: Column) -> tuple[str, str, str, str]:
    return column.name, column.type, column.unit, column.meaning


def files() -> dict[Path, str]:
    """Every generated file and its text."""
    return {
        ROOT / "docs" / "configuration.md": configuration(),
        ROOT / "docs" / "columns.md": columns(),
        ROOT / "docs" / "knobs.md": knobs(),
        ROOT / "docs" / "commands.md": commands(),
        ROOT / "configs" / SCHEMA_FILE: config_schema_text(),
    }


if __name__ == "__main__":
    for file, text in files().items():
        file.write_text(text, encoding="utf-8")
        print(file.relative_to(ROOT))
