"""What to run: a TOML file becomes a validated `SweepConfig`, and that `RunSpec`s with stable ids.

A configuration is checked completely before anything runs: `load_config` and `parse_config` collect every
problem and raise one `ConfigError` with a line for each. What a key requires stands once, in words, as the
description of its field below; `linphase.grid` reads the axes.

The grid has one variance axis (gamma_sigma2 or init_variance), one width axis (gamma_w or width) and any
number of facets: keys of other sections by dotted name, such as "task.rank". A facet decides its key; a value
that the key's own section gives is then not used.
"""

import difflib
import hashlib
import itertools
import json
import math
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from linphase.errors import ConfigError
from linphase.grid import STRICT, Axis, Key, Problems, dotted, read_axis, show, show_some, size, write_out

NUMERICS_VERSION = 1  # part of every run id: raised only when linphase's numbers change
MAX_RUNS = 10**7
MAX_WIDTH = 2**53  # the last integer up to which every width is exact in float64
PAPER_DIVISOR = 50  # eta = 1/(50 ...): theory.md section 2

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


class _Section(BaseModel):
    """A table of the configuration: frozen, strictly typed (true is not a number), without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", **STRICT)

    def used(self) -> dict[str, Any]:
        """The keys that decide a run's numbers, and their values; only these are hashed."""
        return self.model_dump()


@lru_cache(maxsize=4096)
def _canonical_json(section: _Section) -> str:
    return _encode(section.used())


class TaskConfig(_Section):
    """The target Y = A* + E: A* of the given rank and E of the given noise are (dimension, dimension)."""

    dimension: int = Field(default=64, ge=2, le=20_000, description="an integer from 2 to 20000")
    rank: int = Field(default=4, ge=1, le=20_000, description="an integer of at least 1 (and at most the dimension)")
    noise: Annotated[float, Field(ge=0), AfterValidator(abs)] = Field(
        default=1.0,  # abs: -0.0 must hash like 0.0
        description="a finite number of at least 0",
    )
    signal_norm: float | None = Field(default=None, gt=0, description="a finite number above 0")

    @model_validator(mode="after")
    def _rank_fits(self) -> Self:
        if self.rank > self.dimension:
            raise ValueError(f"rank must be at most the dimension {self.dimension}, found {self.rank}")
        return self


class PaperRate(_Section):
    """The paper's learning rate with another divisor in place of 50: `learning_rate = { paper = 5 }`."""

    paper: float = Field(gt=0)


def _plain_rate(rate: object) -> object:
    """{ paper = 50 } is the rule "paper", and must not get another run id."""
    return "paper" if rate == PaperRate(paper=PAPER_DIVISOR) else rate


_Rate = Annotated[Annotated[float, Field(gt=0)] | Literal["auto", "paper"] | PaperRate, AfterValidator(_plain_rate)]


class DynamicsConfig(_Section):
    """How the weights move: gradient flow or gradient descent. Keys of the other kind are not used."""

    kind: Literal["flow", "gd"] = Field(default="flow", description='"flow" or "gd"')
    tolerance: float = Field(default=1e-3, gt=0, le=0.1, description="a number above 0 and at most 0.1")
    learning_rate: _Rate = Field(default="auto", description='"auto", "paper", { paper = DIVISOR } or a number above 0')
    update: Literal["simultaneous", "alternating"] = Field(
        default="simultaneous", description='"simultaneous" or "alternating"'
    )
    max_steps: int = Field(default=100_000, ge=1, le=10**9, description="an integer from 1 to 10^9")
    max_evaluations: int = Field(default=100_000, ge=1, le=10**9, description="an integer from 1 to 10^9")

    def used(self) -> dict[str, Any]:
        return {key: value for key, value in self.model_dump().items() if key in KEYS_OF_KIND[self.kind]}

    @property
    def learning_rate_rule(self) -> str:
        """The learning rate as configured, in short: "auto", "paper", "paper/5" or "0.01"."""
        rate = self.learning_rate
        if isinstance(rate, str):
            return rate
        return f"paper/{_short(rate.paper)}" if isinstance(rate, PaperRate) else _short(rate)


class StopConfig(_Section):
    """When a run ends: `converged` (theory.md section 4) or the paper's rule (section 2)."""

    rule: Literal["converged", "paper"] = Field(default="converged", description='"converged" or "paper"')
    train_error: float = Field(default=1e-3, gt=0, description="a finite number above 0")

    def used(self) -> dict[str, Any]:
        return {key: value for key, value in self.model_dump().items() if key in KEYS_OF_RULE[self.rule]}


KEYS_OF_KIND = {
    "flow": ("kind", "tolerance", "max_evaluations"),
    "gd": ("kind", "learning_rate", "update", "max_steps"),
}
KEYS_OF_RULE = {"converged": ("rule", "train_error"), "paper": ("rule",)}
_SELECTORS = {"dynamics": ("dynamics.kind", KEYS_OF_KIND), "stop": ("stop.rule", KEYS_OF_RULE)}


class RecordConfig(_Section):
    """What is kept of a run over time."""

    snapshots: int = Field(default=48, ge=2, le=10_000, description="an integer from 2 to 10000")
    singular_values: Annotated[int, Field(ge=1, le=20_000)] | Literal["all"] = Field(
        default="all", description='"all" or an integer from 1 to 20000'
    )


class RunConfig(_Section):
    """The root of the random numbers, and the floating-point type of the training."""

    seed: int = Field(default=0, ge=0, lt=2**63, description="an integer from 0 to 2^63 - 1")
    precision: Literal["float64", "float32"] = Field(default="float64", description='"float64" or "float32"')


class _Start(_Section):
    """The keys of the grid that are its own. A normal float is one that keeps its full precision."""

    gamma_sigma2: float = Field(description="a finite number")
    init_variance: float = Field(ge=sys.float_info.min, description="a finite number above 0 (a normal float64)")
    gamma_w: float = Field(ge=0, description="a finite number of at least 0")
    width: int = Field(ge=1, le=MAX_WIDTH, description="an integer from 1 to 2^53")
    replicates: int = Field(ge=1, description="an integer of at least 1")


SECTIONS: dict[str, type[_Section]] = {
    "task": TaskConfig,
    "dynamics": DynamicsConfig,
    "stop": StopConfig,
    "record": RecordConfig,
    "run": RunConfig,
}
VARIANCE_KEYS = ("gamma_sigma2", "init_variance")
WIDTH_KEYS = ("gamma_w", "width")

_KEYS = {
    f"{section}.{name}": Key.of(field)
    for section, model in SECTIONS.items()
    for name, field in model.model_fields.items()
}
_FACET_KEYS = {
    key: value
    for key, value in _KEYS.items()
    if key.startswith(("task.", "dynamics.", "stop.")) or key == "run.precision"
}
_START_KEYS = {name: Key.of(field) for name, field in _Start.model_fields.items()}
_REPLICATES = _START_KEYS.pop("replicates")
_AXIS_KEYS = _START_KEYS | _FACET_KEYS
_NAME = Key.of(
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$",
        description="1 to 100 of the characters A-Z a-z 0-9 . _ - and begin with a letter, a digit or _",
    ),
    annotation=str,
)


@dataclass(frozen=True)
class Initialization:
    """A Gaussian start: entries of W1 and W2 are N(0, init_variance), the network has the given width.

    init_variance = d^gamma_sigma2 and width = int(d^gamma_w), at least 1 (theory.md section 1).
    """

    gamma_sigma2: float
    gamma_w: float
    init_variance: float
    width: int

    @property
    def threshold(self) -> float:
        """c = sigma2 * width: singular values above it are active."""
        return self.init_variance * self.width

    @classmethod
    def at(
        cls,
        dimension: float,
        *,
        gamma_sigma2: float | None = None,
        init_variance: float | None = None,
        gamma_w: float | None = None,
        width: int | None = None,
    ) -> Self:
        """The start for one variance key and one width key; the logarithm to base d gives the others."""
        if (gamma_sigma2 is None) == (init_variance is None):
            raise ConfigError("exactly one of gamma_sigma2 and init_variance is required")
        if (gamma_w is None) == (width is None):
            raise ConfigError("exactly one of gamma_w and width is required")
        if init_variance is None:
            assert gamma_sigma2 is not None
            init_variance = _power(dimension, gamma_sigma2)
            if not _is_normal(init_variance):
                raise ConfigError(
                    f"gamma_sigma2 = {gamma_sigma2} gives the variance {init_variance}, no normal float64"
                )
        elif not _is_normal(init_variance):
            raise ConfigError(
                f"init_variance must be {_START_KEYS['init_variance'].requirement}, found {init_variance}"
            )
        if width is None:
            assert gamma_w is not None
            power = _power(dimension, gamma_w)
            if not power <= MAX_WIDTH:
                raise ConfigError(f"gamma_w = {gamma_w} gives the width {power:.3g}, more than 2^53")
            width = max(1, int(power))
        elif not 1 <= width <= MAX_WIDTH:
            raise ConfigError(f"width must be {_START_KEYS['width'].requirement}, found {width}")
        log_d = math.log(dimension)
        return cls(
            gamma_sigma2=math.log(init_variance) / log_d if gamma_sigma2 is None else gamma_sigma2,
            gamma_w=math.log(width) / log_d if gamma_w is None else gamma_w,
            init_variance=init_variance,
            width=width,
        )


def _power(dimension: float, exponent: float) -> float:
    try:
        return math.pow(dimension, exponent)
    except OverflowError:
        return math.inf


def _is_normal(value: float) -> bool:
    return sys.float_info.min <= value <= sys.float_info.max


def _short(value: float) -> str:
    return repr(value).removesuffix(".0")


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything that decides one run's numbers. `start` holds the two grid values it was asked for by."""

    task: TaskConfig
    initialization: Initialization
    start: tuple[tuple[str, float], tuple[str, float]]
    replicate: int
    dynamics: DynamicsConfig
    stop: StopConfig
    record: RecordConfig
    run: RunConfig

    def canonical(self) -> dict[str, Any]:
        """The specification that is hashed: used keys only, nothing of scheduling."""
        return {
            "numerics_version": NUMERICS_VERSION,
            "task": self.task.used(),
            "start": dict(self.start),
            "replicate": self.replicate,
            "dynamics": self.dynamics.used(),
            "stop": self.stop.used(),
            "record": self.record.used(),
            "seed": self.run.seed,
            "precision": self.run.precision,
        }

    @property
    def run_id(self) -> str:
        """The first 20 hexadecimal digits of the SHA-256 of the canonical JSON."""
        # The same text as _encode(self.canonical()), but the JSON of each section is made only once.
        start = ",".join(f'"{key}":{value!r}' for key, value in sorted(self.start))
        text = (
            f'{{"dynamics":{_canonical_json(self.dynamics)},"numerics_version":{NUMERICS_VERSION}'
            f',"precision":"{self.run.precision}","record":{_canonical_json(self.record)}'
            f',"replicate":{self.replicate},"seed":{self.run.seed},"start":{{{start}}}'
            f',"stop":{_canonical_json(self.stop)},"task":{_canonical_json(self.task)}}}'
        )
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def columns(self) -> dict[str, object]:
        """The values of the columns of the runs table that say what was asked for; keys not used are None."""
        start, dynamics, stop = self.initialization, self.dynamics.used(), self.stop.used()
        return {
            "run_id": self.run_id,
            "gamma_sigma2": start.gamma_sigma2,
            "gamma_w": start.gamma_w,
            "init_variance": start.init_variance,
            "width": start.width,
            "threshold": start.threshold,
            "replicate": self.replicate,
            "seed": self.run.seed,
            **self.task.used(),
            "kind": self.dynamics.kind,
            "tolerance": dynamics.get("tolerance"),
            "learning_rate_rule": self.dynamics.learning_rate_rule if "learning_rate" in dynamics else None,
            "update": dynamics.get("update"),
            "max_steps": dynamics.get("max_steps"),
            "max_evaluations": dynamics.get("max_evaluations"),
            "stop_rule": self.stop.rule,
            "stop_train_error": stop.get("train_error"),
            "snapshots": self.record.snapshots,
            "precision": self.run.precision,
        }


@dataclass(frozen=True)
class GridConfig:
    """The axes in order (variance, width, then facets as in the file), and the replicates of every cell."""

    axes: dict[str, tuple[Any, ...]]
    replicates: int = 1


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
        return int(_power(max(dimensions), max(widths)))

    def values(self, key: str) -> tuple[Any, ...]:
        """The values a key such as `task.rank` takes in the sweep: those of its axis, or its single one."""
        if key in self.grid.axes:
            return self.grid.axes[key]
        section, name = key.split(".")
        return (getattr(getattr(self, section), name),)

    def uses(self, key: str) -> bool:
        """Whether any run of the sweep uses a key such as `dynamics.tolerance`."""
        choices = _choices(key, {selector: self.values(selector) for selector, _ in _SELECTORS.values()})
        return any(choices.values()) or not choices

    def resolved(self) -> dict[str, Any]:
        """Everything, defaults included and axes as lists, ready for JSON; `parse_config` reads it back."""
        grid: dict[str, Any] = {key: [_jsonable(value) for value in values] for key, values in self.grid.axes.items()}
        sections = {section: getattr(self, section).model_dump() for section in SECTIONS}
        return {"name": self.name, "grid": grid | {"replicates": self.grid.replicates}, **sections}

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the resolved configuration's canonical JSON."""
        return hashlib.sha256(_encode(self.resolved()).encode()).hexdigest()[:16]

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
    return _overridden(_read(Path(path)), Problems(str(path)), overrides)


def parse_config(mapping: Mapping[str, Any], source: str = "config", overrides: Iterable[str] = ()) -> SweepConfig:
    """Validate a mapping with the keys of the TOML file; numpy arrays and scalars are welcome as values.

    Overrides and errors are those of `load_config`.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{source}: must be a table of keys, found {show(mapping)}")
    return _overridden(_plain(mapping), Problems(source), overrides)


def _overridden(config: dict[str, Any], problems: Problems, overrides: Iterable[str]) -> SweepConfig:
    if isinstance(config.get("grid"), dict):
        config["grid"] = _flat_grid(config["grid"], problems)
    for override in overrides:
        _override(config, override, problems)
    return _parse(config, problems)


def _plain(value: Any) -> Any:
    """Lists and dictionaries as TOML would give them, from tuples and numpy arrays too."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: must be UTF-8 text, found byte {error.object[error.start]:#04x} at position {error.start}"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError with line and column, or an integer of thousands of digits
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error


def _override(config: dict[str, Any], override: str, problems: Problems) -> None:
    """Put the value of one KEY=VALUE in its place in the configuration."""
    key, equals, text = override.partition("=")
    path = _key_path(key)
    if not (equals and path):
        problems.lines.append(f"--set takes KEY=VALUE, such as task.rank=8, found {show(override)}")
        return
    if path[0] == "grid" and len(path) > 2 and path[1] in SECTIONS:
        path = ("grid", f"{path[1]}.{path[2]}", *path[3:])
    *tables, name = path
    table: Any = config
    for depth, part in enumerate(tables, start=1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            where = ".".join(tables[:depth])
            problems.lines.append(f"--set {key.strip()}: {where} must be a table, found {show(table)}")
            return
    table[name] = _toml_value(text)
    problems.overridden.append(path)


def _key_path(key: str) -> tuple[str, ...]:
    """The parts of a dotted TOML key, () if it is none."""
    try:
        table = tomllib.loads(f"{key} = 0")
    except (ValueError, RecursionError):
        return ()
    path = []
    while isinstance(table, dict) and len(table) == 1:
        (part,) = table
        path.append(part)
        table = table[part]
    return () if isinstance(table, dict) else tuple(path)


def _toml_value(text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return table["value"] if len(table) == 1 else text


def _flat_grid(grid: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """The grid with tables such as [grid.task] turned into dotted names, in the order of the file."""
    flat: dict[str, Any] = {}
    for key, value in grid.items():
        is_table = key in SECTIONS and isinstance(value, Mapping)
        entries = {f"{key}.{name}": entry for name, entry in value.items()} if is_table else {key: value}
        for name in (name for name in entries if name in flat):
            problems.add(("grid", name), "is given twice, as a quoted name and in a table; remove one")
        flat |= entries
    return flat


def _parse(mapping: Mapping[str, Any], problems: Problems) -> SweepConfig:
    """Check everything, raise what is wrong, and only then build the configuration."""
    _report_unknown(mapping, ("name", "grid", *SECTIONS), (), problems)
    if "name" in mapping:
        name = _NAME.check(mapping["name"], ("name",), problems)
    else:
        problems.add(("name",), 'is required, found none. Example: name = "quickstart"')
    values = _section_values(mapping, problems)
    axes, replicates = _read_grid(mapping.get("grid", {}), problems)
    for key in axes.keys() & _FACET_KEYS.keys():
        path = tuple(key.split("."))
        if problems.is_overridden(path):
            problems.add(path, f"has no effect, as grid.{key} is an axis; set grid.{key} instead")
    known = {key: entry for key, entry in (values | axes).items() if entry is not None}
    _check_cells(known, axes, problems)
    problems.raise_if_any()
    assert name is not None
    assert replicates is not None
    sections: dict[str, Any] = {
        section: model(**{field: known[f"{section}.{field}"][0] for field in model.model_fields})
        for section, model in SECTIONS.items()
    }
    return SweepConfig(name[0], grid=GridConfig({key: known[key] for key in axes}, replicates[0]), **sections)


_Values = dict[str, tuple[Any, ...] | None]  # what a key is in the sweep; None where it is not as required


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
            values[key] = _KEYS[key].check(table[name], (section, name), problems) if given else (field.default,)
    return values


def _read_grid(grid: Any, problems: Problems) -> tuple[_Values, tuple[int] | None]:
    """The values of every axis, in order, and the number of replicates."""
    if not isinstance(grid, Mapping):
        problems.add(("grid",), f"must be a table, found {show(grid)}")
        return {}, None
    grid = _flat_grid(grid, problems)
    _report_unknown(grid, (*_AXIS_KEYS, "replicates"), ("grid",), problems)
    replicates = _REPLICATES.check(grid.get("replicates", 1), ("grid", "replicates"), problems)
    keys = [
        *_start_keys(grid, "variance", VARIANCE_KEYS, "gamma_sigma2 = { start = -3, stop = 0, num = 16 }", problems),
        *_start_keys(grid, "width", WIDTH_KEYS, "width = [16, 64, 256]", problems),
        *(key for key in grid if key in _FACET_KEYS),
    ]
    read = {key: read_axis(grid[key], _AXIS_KEYS[key], ("grid", key), problems) for key in keys}
    axes: dict[str, Axis] = {key: axis for key, axis in read.items() if axis is not None}
    cells = math.prod(size(axis) for axis in axes.values())
    too_many = replicates is not None and cells * replicates[0] > MAX_RUNS
    if replicates is not None and too_many:
        found = f"{show(cells)} cells x {show(replicates[0])} replicates"
        problems.add(("grid",), f"must make at most 10^7 runs, found {found}")
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
    full_names = ["grid.replicates", *(f"grid.{key}" for key in _START_KEYS), *_KEYS]
    for key in table:
        if key in known:
            continue
        found = show(table[key])
        close = [dotted((*path, name)) for name in difflib.get_close_matches(key, known, n=1)]
        meant = close or [name for name in full_names if name.endswith(f".{key}")]
        if path == ("grid",) and key in _KEYS:
            text = f"cannot be an axis (task.*, dynamics.*, stop.* and run.precision can), found {found}"
        elif meant:
            text = f"is not a key, found {found}; did you mean {meant[0]}?"
        else:
            text = f"is not a key, found {found}; known are {', '.join(known)}"
        problems.add((*path, key), text)


def _check_cells(known: Mapping[str, tuple[Any, ...]], axes: Iterable[str], problems: Problems) -> None:
    """What must hold between keys, in every combination of the values they take in the sweep."""
    for key in axes:
        idle = [show(choice) for choice, used in _choices(key, known).items() if not used]
        if idle:
            selector = _SELECTORS[key.split(".")[0]][0]
            text = f"must not be an axis with {selector} = {idle[0]}, which does not use it"
            found = show(known.get(key, ()))
            problems.add(("grid", key), f"{text} (the same runs would be repeated), found {found}")
    conflicts = [
        _rank_conflict(known),
        _rule_conflict(known),
        _width_conflict(known),
        _variance_conflict(known),
    ]
    for key, text in filter(None, conflicts):
        problems.add(("grid", key) if key in axes else tuple(key.split(".")), text)


def _rank_conflict(known: Mapping[str, tuple[Any, ...]]) -> tuple[str, str] | None:
    smallest = min(known.get("task.dimension", ()), default=math.inf)
    ranks = [rank for rank in known.get("task.rank", ()) if rank > smallest]
    return ("task.rank", f"must be at most task.dimension = {smallest}, found {show_some(ranks)}") if ranks else None


def _rule_conflict(known: Mapping[str, tuple[Any, ...]]) -> tuple[str, str] | None:
    if "paper" in known.get("stop.rule", ()) and "flow" in known.get("dynamics.kind", ()):
        return "stop.rule", 'must be "converged" with dynamics.kind = "flow", found "paper", a rule for "gd"'
    return None


def _width_conflict(known: Mapping[str, tuple[Any, ...]]) -> tuple[str, str] | None:
    # d^x is furthest from 1 at the largest d: all cells hold where those of the largest d do.
    d = max(known.get("task.dimension", ()), default=2)
    wide = [x for x in known.get("gamma_w", ()) if not _power(d, x) <= MAX_WIDTH]
    limit = f"{math.log(MAX_WIDTH, d):.4f} at d = {d} (a width of 2^53)"
    return ("gamma_w", f"must be at most {limit}, found {show_some(wide)}") if wide else None


def _variance_conflict(known: Mapping[str, tuple[Any, ...]]) -> tuple[str, str] | None:
    d = max(known.get("task.dimension", ()), default=2)
    key = "gamma_sigma2" if "gamma_sigma2" in known else "init_variance"
    variances = {x: _power(d, x) if key == "gamma_sigma2" else x for x in known.get(key, ())}
    if extreme := [x for x, variance in variances.items() if not _is_normal(variance)]:
        low, high = math.log(sys.float_info.min, d), math.log(sys.float_info.max, d)
        limits = f"from {low:.4f} to {high:.4f} at d = {d} (d^gamma_sigma2 a normal float64)"
        return key, f"must be {limits}, found {show_some(extreme)}"
    width = max((*known.get("width", ()), *(_power(d, x) for x in known.get("gamma_w", ()))), default=1)
    huge = [x for x, variance in variances.items() if not _is_normal(variance * width)]
    text = f"must keep sigma2 * width finite at the largest width, {width:.3g}, found {show_some(huge)}"
    return (key, text) if huge and width <= MAX_WIDTH else None


def _choices(key: str, values: Mapping[str, tuple[Any, ...]]) -> dict[str, bool]:
    """Whether each dynamics.kind, or stop.rule, of the sweep uses a key of its section; {} for other keys."""
    section, _, name = key.partition(".")
    if section not in _SELECTORS:
        return {}
    selector, keys_of = _SELECTORS[section]
    return {choice: name in keys_of[choice] for choice in values.get(selector, ())}


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
    for key in _KEYS:
        if key in before.grid.axes or key in after.grid.axes or not (before.uses(key) and after.uses(key)):
            continue
        (was,), (now,) = before.values(key), after.values(key)
        if was != now:
            lines.append(f"{key}: {_told(was)} in the directory, {_told(now)} in the config")
    return lines


def _told(value: object) -> str:
    return "not set" if value is None else show(value)
