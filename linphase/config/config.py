"""What to run: a TOML file becomes a validated `SweepConfig`, and that `RunSpec`s with stable ids.

A configuration is checked completely before anything runs: `load_config` and `parse_config` collect every
problem and raise one `ConfigError` with a line for each. What a key requires stands once, in words, as the
description of its field; `linphase.config.grid` reads the axes.

The grid has one variance axis (gamma_sigma2 or init_variance), one width axis (gamma_w or width) and any
number of facets: keys of other sections by dotted name, such as "task.rank". A facet decides its key; a value
that the key's own section gives is then not used.
"""

import difflib
import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from linphase.config.conflicts import check_cells
from linphase.config.grid import Axis, read_axis, size, write_out
from linphase.config.keys import Key, Problems, dotted, show
from linphase.config.toml import flat_grid, override_with, plain, read_toml
from linphase.dynamics.gradient_descent import PAPER_DIVISOR, PaperRate
from linphase.dynamics.kinds import KEYS_OF_KIND, DynamicsConfig
from linphase.errors import ConfigError
from linphase.model.network import MAX_WIDTH, Initialization, Start, power
from linphase.model.section import canonical_json
from linphase.model.task import TaskConfig
from linphase.runs.recorder import RecordConfig
from linphase.runs.spec import NUMERICS_VERSION, SECTIONS, SELECTORS, RunConfig, RunSpec
from linphase.runs.stopping import KEYS_OF_RULE, StopConfig

__all__ = [
    "AXIS_KEYS",
    "FACET_KEYS",
    "KEYS",
    "KEYS_OF_KIND",
    "KEYS_OF_RULE",
    "MAX_RUNS",
    "MAX_WIDTH",
    "NAME",
    "NUMERICS_VERSION",
    "PAPER_DIVISOR",
    "REPLICATES",
    "SECTIONS",
    "START_KEYS",
    "VARIANCE_KEYS",
    "WIDTH_KEYS",
    "DynamicsConfig",
    "GridConfig",
    "Initialization",
    "PaperRate",
    "RecordConfig",
    "RunConfig",
    "RunSpec",
    "StopConfig",
    "SweepConfig",
    "TaskConfig",
    "difference",
    "load_config",
    "parse_config",
]

MAX_RUNS = 10**7
VARIANCE_KEYS = ("gamma_sigma2", "init_variance")
WIDTH_KEYS = ("gamma_w", "width")

_Values = dict[str, tuple[Any, ...] | None]  # what each key is in the sweep; None where it is not as required

KEYS = {
    f"{section}.{name}": Key.of(field)
    for section, model in SECTIONS.items()
    for name, field in model.model_fields.items()
}
FACET_KEYS = {
    key: value
    for key, value in KEYS.items()
    if key.startswith(("task.", "dynamics.", "stop.")) or key == "run.precision"
}
START_KEYS = {name: Key.of(field) for name, field in Start.model_fields.items()}
REPLICATES = Key.of(
    Field(ge=1, title="independent draws of task and start in every cell", description="an integer of at least 1"),
    annotation=int,
)
AXIS_KEYS = START_KEYS | FACET_KEYS
NAME = Key.of(
    Field(
        title="the results go to results/NAME unless --out says otherwise",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$",
        description="1 to 100 of the characters A-Z a-z 0-9 . _ - and begin with a letter, a digit or _",
    ),
    annotation=str,
)


@dataclass(frozen=True)
class GridConfig:
    """The axes in order (variance, width, then facets as in the file), and the replicates of every cell."""

    axes: dict[str, tuple[Any, ...]]
    replicates: int = 1


_NOT_PREDICTED = ("dynamics", "stop", "run")  # axes of these sections mean nothing to theory


@dataclass(frozen=True)
class SweepConfig:
    """A validated sweep. Where an axis decides a key, the section holds the axis's first value."""

    name: str
    task: TaskConfig
    grid: GridConfig
    dynamics: DynamicsConfig
    stop: StopConfig
    record: RecordConfig
    run: RunConfig

    @property
    def cells(self) -> int:
        """Combinations of the values of all axes."""
        return math.prod(len(values) for values in self.grid.axes.values())

    @property
    def runs(self) -> int:
        """Cells times replicates."""
        return self.cells * self.grid.replicates

    @property
    def largest_width(self) -> int:
        """The width of the widest network in the sweep."""
        widths, dimensions = list(self.grid.axes.values())[1], self.values("task.dimension")
        if "width" in self.grid.axes:
            return int(max(widths))
        return int(power(max(dimensions), max(widths)))

    def values(self, key: str) -> tuple[Any, ...]:
        """The values a key such as `task.rank` takes in the sweep: those of its axis, or its single one."""
        if key in self.grid.axes:
            return self.grid.axes[key]
        section, name = key.split(".")
        return (getattr(getattr(self, section), name),)

    def uses(self, key: str) -> bool:
        """Whether any run of the sweep uses a key such as `dynamics.tolerance`."""
        section, _, name = key.partition(".")
        if section not in SELECTORS:
            return True
        selector, keys_of = SELECTORS[section]
        return any(name in keys_of[choice] for choice in self.values(selector))

    def resolved(self) -> dict[str, Any]:
        """What decides the runs, defaults included and axes as lists, ready for JSON; `parse_config` reads it back."""
        grid: dict[str, Any] = {key: [_jsonable(value) for value in values] for key, values in self.grid.axes.items()}
        sections = {section: getattr(self, section).model_dump() for section in SECTIONS}
        del sections["run"]["max_time"]
        return {"name": self.name, "grid": grid | {"replicates": self.grid.replicates}, **sections}

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the resolved configuration's canonical JSON."""
        return hashlib.sha256(canonical_json(self.resolved()).encode()).hexdigest()[:16]

    def predicted(self) -> "SweepConfig":
        """The same cells as theory predicts them: kind "modes", taken to convergence, under the name NAME-theory."""
        resolved = self.resolved()
        grid = {key: values for key, values in resolved["grid"].items() if key.partition(".")[0] not in _NOT_PREDICTED}
        stop = {"train_error": self.stop.train_error}
        record = {**resolved["record"], "compare": "none"}
        sections = {
            "task": resolved["task"],
            "grid": grid,
            "stop": stop,
            "record": record,
            "run": {"seed": self.run.seed},
        }
        return parse_config({"name": f"{self.name}-theory", "dynamics": {"kind": "modes"}, **sections})

    def expand(self) -> Iterator[RunSpec]:
        """The runs, one after the other: facets vary slowest, then variance, then width, then replicate."""
        (variance_key, variances), (width_key, widths), *facets = self.grid.axes.items()
        for facet in itertools.product(*(values for _, values in facets)):
            sections = self._sections_at({key: value for (key, _), value in zip(facets, facet, strict=True)})
            dimension = sections["task"].dimension
            for variance, width in itertools.product(variances, widths):
                initialization = Initialization.at(dimension, **{variance_key: variance, width_key: width})
                start = ((variance_key, variance), (width_key, width))
                for replicate in range(self.grid.replicates):
                    yield RunSpec(initialization=initialization, start=start, replicate=replicate, **sections)

    def _sections_at(self, facet: Mapping[str, Any]) -> dict[str, Any]:
        """The sections with a facet's values in place."""
        changes: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        for key, value in facet.items():
            section, name = key.split(".")
            changes[section][name] = value
        return {
            section: model(**getattr(self, section).model_dump() | changes[section])
            for section, model in SECTIONS.items()
        }


def _jsonable(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> SweepConfig:
    """Read and validate a TOML file, with overrides such as "task.rank=8" put in place of its values.

    An override's value is read as TOML and, where it is none, taken as a string. Its key is dotted as in
    TOML, with quotes allowed: grid.task.rank=[1,2] and grid."task.rank"=[1,2] set the same axis.

    Raises
    ------
    ConfigError
        With one line for every problem: the file (or --set), the key, what is required and what was found.
    """
    return _overridden(read_toml(Path(path)), Problems(str(path)), overrides)


def parse_config(mapping: Mapping[str, Any], source: str = "config", overrides: Iterable[str] = ()) -> SweepConfig:
    """Validate a mapping with the keys of the TOML file; numpy arrays and scalars are welcome as values.

    Overrides and errors are those of `load_config`.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{source}: must be a table of keys, found {show(mapping)}")
    return _overridden(plain(mapping), Problems(source), overrides)


def _overridden(config: dict[str, Any], problems: Problems, overrides: Iterable[str]) -> SweepConfig:
    if isinstance(config.get("grid"), dict):
        config["grid"] = flat_grid(config["grid"], problems)
    for override in overrides:
        override_with(config, override, problems)
    return _parse(config, problems)


def _parse(mapping: Mapping[str, Any], problems: Problems) -> SweepConfig:
    """Check everything, raise what is wrong, and only then build the configuration."""
    _report_unknown(mapping, ("name", "grid", *SECTIONS), (), problems)
    if "name" in mapping:
        name = NAME.check(mapping["name"], ("name",), problems)
    else:
        problems.add(("name",), 'is required, found none. Example: name = "quickstart"')
    values = _section_values(mapping, problems)
    axes, replicates = _read_grid(mapping.get("grid", {}), problems)
    for key in axes:
        path = tuple(key.split("."))
        if key in FACET_KEYS and problems.is_overridden(path):
            problems.add(path, f"has no effect, as grid.{key} is an axis; set grid.{key} instead")
    known = {key: entry for key, entry in (values | axes).items() if entry is not None}
    check_cells(known, axes, problems)
    problems.raise_if_any()
    assert name is not None
    assert replicates is not None
    sections: dict[str, Any] = {
        section: model(**{field: known[f"{section}.{field}"][0] for field in model.model_fields})
        for section, model in SECTIONS.items()
    }
    return SweepConfig(name[0], grid=GridConfig({key: known[key] for key in axes}, replicates[0]), **sections)


def _section_values(mapping: Mapping[str, Any], problems: Problems) -> _Values:
    """The one value of every key of every section, the default where it is not given."""
    values: _Values = {}
    for section, model in SECTIONS.items():
        table = mapping.get(section, {})
        if not isinstance(table, Mapping):
            problems.add((section,), f"must be a table, found {show(table)}")
            table = {}
        _report_unknown(table, model.model_fields, (section,), problems)
        for name, field in model.model_fields.items():
            key = f"{section}.{name}"
            given = name in table
            values[key] = KEYS[key].check(table[name], (section, name), problems) if given else (field.default,)
    return values


def _read_grid(grid: Any, problems: Problems) -> tuple[_Values, tuple[int] | None]:
    """The values of every axis, in order, and the number of replicates."""
    if not isinstance(grid, Mapping):
        problems.add(("grid",), f"must be a table, found {show(grid)}")
        return {}, None
    grid = flat_grid(grid, problems)
    _report_unknown(grid, (*AXIS_KEYS, "replicates"), ("grid",), problems)
    replicates = REPLICATES.check(grid.get("replicates", 1), ("grid", "replicates"), problems)
    keys = [
        *_start_keys(grid, "variance", VARIANCE_KEYS, "gamma_sigma2 = { start = -3, stop = 0, num = 16 }", problems),
        *_start_keys(grid, "width", WIDTH_KEYS, "width = [16, 64, 256]", problems),
        *(key for key in grid if key in FACET_KEYS),
    ]
    read = {key: read_axis(grid[key], AXIS_KEYS[key], ("grid", key), problems) for key in keys}
    axes: dict[str, Axis] = {key: axis for key, axis in read.items() if axis is not None}
    cells = math.prod(size(axis) for axis in axes.values())
    count = 1 if replicates is None else replicates[0]
    too_many = cells * count > MAX_RUNS
    if too_many:
        problems.add(("grid",), f"must make at most 10^7 runs, found {show(cells)} cells x {show(count)} replicates")
    # With too many runs no axis is written out: nothing of that size is ever allocated.
    return {
        key: None if too_many or key not in axes else write_out(axes[key], ("grid", key), problems) for key in keys
    }, replicates


def _start_keys(
    grid: Mapping[str, Any], role: str, pair: tuple[str, str], example: str, problems: Problems
) -> list[str]:
    """The one key of a pair that the grid must have."""
    given = [key for key in pair if key in grid]
    required = f"must have exactly one {role} key, {pair[0]} or {pair[1]}"
    if not given:
        problems.add(("grid",), f"{required}, found neither. Example: {example}")
    elif len(given) == 2:
        found = " and ".join(f"{key} (from {problems.origin(('grid', key))})" for key in given)
        problems.add(("grid",), f"{required}, found both: {found}. Remove one from the file; --set cannot")
    return given


def _report_unknown(table: Mapping[str, Any], known: Iterable[str], path: tuple[str, ...], problems: Problems) -> None:
    """Note every key that does not exist, with the one that may have been meant."""
    known = list(known)
    full_names = ["grid.replicates", *(f"grid.{key}" for key in START_KEYS), *KEYS]
    for key in table:
        if key in known:
            continue
        found = show(table[key])
        close = [dotted((*path, name)) for name in difflib.get_close_matches(key, known, n=1)]
        meant = close or [name for name in full_names if name.endswith(f".{key}")]
        if path == ("grid",) and key in KEYS:
            text = f"cannot be an axis (task.*, dynamics.*, stop.* and run.precision can), found {found}"
        elif meant:
            text = f"is not a key, found {found}; did you mean {meant[0]}?"
        else:
            text = f"is not a key, found {found}; known are {', '.join(known)}"
        problems.add((*path, key), text)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What stands between adding the runs of the config `new` to a directory made with `old`, a line each.

    Both are resolved configurations. The grid's values, the replicates and the name may differ, and so may
    keys that one of the two does not use, such as a tolerance under gradient descent.
    """
    before, after = parse_config(old, "the directory's config"), parse_config(new)
    lines = []
    for key in dict.fromkeys((*before.grid.axes, *after.grid.axes)):
        if key not in after.grid.axes:
            lines.append(f"grid.{key}: an axis in the directory, none in the config")
        elif key not in before.grid.axes:
            lines.append(f"grid.{key}: no axis in the directory, one in the config")
    for key in KEYS:
        if key in before.grid.axes or key in after.grid.axes or not (before.uses(key) and after.uses(key)):
            continue
        (was,), (now,) = before.values(key), after.values(key)
        if was != now:
            lines.append(f"{key}: {_told(was)} in the directory, {_told(now)} in the config")
    return lines


def _told(value: object) -> str:
    return "not set" if value is None else show(value)
