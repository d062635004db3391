"""What to run: a TOML file becomes a validated `SweepConfig`, and that `RunSpec`s with stable ids.

A configuration is checked completely before anything runs: `load_config` and `parse_config` collect every problem and
raise one `ConfigError` with a line for each. What a key requires stands once, in words, as the description of its
field; `linphase.config.grid` reads the axes.

The grid has one variance axis (gamma_sigma2 or init_variance), one width axis (gamma_w or width) and any number of
facets: keys of other sections by dotted name, such as "task.rank". A facet decides its key; a value that the key's own
section gives is then not used. An axis may choose the kind of dynamics: then each cell has the keys of its kind.
With `[refine] levels` cells are split where the outcome changes (`linphase.config.lattice`), in every facet by itself.
"""

import difflib
import hashlib
import itertools
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from linphase.config.conflicts import check_cells, largest_scale
from linphase.config.grid import Axis, read_axis, size, write_out
from linphase.config.keys import (
    LEVELS,
    NAME,
    REPLICATES,
    VARIANCE_KEYS,
    WIDTH_KEYS,
    Key,
    Members,
    Problems,
    all_keys,
    axis_keys,
    declared,
    dotted,
    fields_of,
    former_keys,
    show,
)
from linphase.config.lattice import Facet, Lattice, halved
from linphase.config.own import RANK_AXIS, keys_of, own_task
from linphase.config.plugins import Plugin, load, read_plugin
from linphase.config.toml import check_depth, flat_grid, override_with, plain, read_tables, renamed
from linphase.dynamics.base import Dynamics
from linphase.errors import ConfigError, check_argument
from linphase.model import arrays
from linphase.model.draws import TaskConfig
from linphase.model.network import Start, power
from linphase.model.section import Choice, Formerly, Internal, Section, Younger, canonical_json
from linphase.model.task import Task
from linphase.runs.recorder import RecordConfig
from linphase.runs.spec import FAMILIES, SECTIONS, RunConfig, RunSpec
from linphase.runs.stopping import Stop

MAX_RUNS = 10**7
MAX_REFINED = 10**6  # on all levels: a lattice is hashed whole where rows lack what led to them, 20 s for so many
_Scalar = bool | int | float | str | dict[str, Any] | None  # what a key can hold in JSON; a list is an axis
_Values = dict[str, tuple[Any, ...] | None]  # what each key is in the sweep; None where it is not as required


@dataclass(frozen=True)
class GridConfig:
    """The axes in order (variance, width, then facets as in the file), and the replicates of every cell."""

    axes: dict[str, tuple[Any, ...]]
    replicates: int = 1


TRAINING = ("dynamics", "stop", "record", "run")  # how a cell is trained: theory sees none of it, but for a given time


@dataclass(frozen=True)
class SweepConfig:
    """A validated sweep.

    keys holds the value of every key that some run of it uses, by its dotted name (task.rank); where an axis decides
    a key, the axis's first value.
    """

    name: str
    grid: GridConfig
    keys: Mapping[str, Any]
    plugins: tuple[Plugin, ...] = ()
    members: Members = field(default_factory=declared, compare=False, repr=False)
    refine_levels: int = 0

    @property
    def task(self) -> TaskConfig:
        """The task of the first cell."""
        return TaskConfig(**self._of("task"))

    @property
    def dynamics(self) -> Dynamics:
        """The dynamics of the first cell."""
        section: Any = self._section_at("dynamics", {})
        return section  # type: ignore[no-any-return]

    @property
    def stop(self) -> Stop:
        """The stop rule of the first cell."""
        section: Any = self._section_at("stop", {})
        return section  # type: ignore[no-any-return]

    @property
    def record(self) -> RecordConfig:
        return RecordConfig(**self._of("record"))

    @property
    def run(self) -> RunConfig:
        return RunConfig(**self._of("run"))

    @property
    def cells(self) -> int:
        """Combinations of the values of all axes."""
        return math.prod(len(values) for values in self.grid.axes.values())

    @property
    def runs(self) -> int:
        """Cells times replicates; without those of refinement."""
        return self.cells * self.grid.replicates

    @property
    def largest_width(self) -> int:
        """The width of the widest network in the sweep."""
        widths = list(self.grid.axes.values())[1]
        if "width" in self.grid.axes:
            return int(max(widths))
        return int(power(largest_scale(*map(self.values, ("task.dimension", "task.output_dimension"))), max(widths)))

    def values(self, key: str) -> tuple[Any, ...]:
        """The values a key such as `task.rank` takes in the sweep: those of its axis, or its single one.

        None where no run of the sweep uses it.
        """
        if key in self.grid.axes:
            return self.grid.axes[key]
        return (self.keys[key],) if key in self.keys else ()

    def resolved(self) -> dict[str, Any]:
        """What decides the runs, defaults included and axes as lists, ready for JSON; `parse_config` reads it back."""
        grid: dict[str, Any] = {key: [_jsonable(value) for value in values] for key, values in self.grid.axes.items()}
        sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        for key, value in self.keys.items():
            section, _, name = key.partition(".")
            if key != "run.max_time":
                sections[section][name] = _jsonable(value)
        resolved = {"name": self.name, "grid": grid | {"replicates": self.grid.replicates}, **sections}
        resolved |= {"refine": {"levels": self.refine_levels}} if self.refine_levels else {}
        return resolved | ({"plugins": self._told_plugins()} if self.plugins else {})

    def _told_plugins(self) -> dict[str, Any]:
        """What readers need of each plugin, which they do not load: its digest, and the kinds that it declares."""
        told: dict[str, Any] = {plugin.name: {"digest": plugin.digest, "kinds": {}} for plugin in self.plugins}
        for section, members in self._chosen().items():
            for name, member in members.items():
                for plugin in self.plugins:
                    if member.__module__ == plugin.module:
                        told[plugin.name]["kinds"][name] = {
                            "section": section,
                            "version": member.version,
                            "keys": list(member.model_fields),
                            "predicts": bool(getattr(member, "predicts", False)),
                        }
                        if former := member.former_names():
                            told[plugin.name]["kinds"][name]["former"] = former
                        if younger := member.younger_keys():
                            told[plugin.name]["kinds"][name]["younger"] = younger
        return told

    def _chosen(self) -> dict[str, dict[str, type[Choice]]]:
        """The classes that some cell has, by section and name."""
        return {
            section: {name: self.members[section][name] for name in self.values(f"{section}.{family.selector}")}
            for section, family in FAMILIES.items()
        }

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the resolved configuration's canonical JSON.

        Keys are hashed under the names that they had first, and those that came later only where they differ from
        their defaults, as in run ids.
        """
        chosen, resolved = self._chosen(), self.resolved()
        for section, model in SECTIONS.items():
            for member in chosen.get(section, {"": model}).values():
                for key, default in member.younger_keys().items():
                    if resolved[section].get(key, default) == default:
                        resolved[section].pop(key, None)
            if issubclass(model, Choice) and model.is_usual(resolved[section]):
                del resolved[section]
        first = {key: former for former, key in former_keys(chosen).items()}
        return hashlib.sha256(canonical_json(renamed(resolved, first)).encode()).hexdigest()[:16]

    def of_task(self, task: Task) -> "SweepConfig":
        """The same sweep of a task of one's own: a `Task` in place of the keys of `[task]`."""
        if not isinstance(task, Task):
            raise ConfigError(f"task: a linphase.Task is required, found {task!r:.60}. Task.from_target makes one")
        resolved = self.resolved()
        axes = [key for key in self.grid.axes if key.startswith("task.") and key != "task.rank"]
        if axes:
            raise ConfigError(f"grid.{axes[0]}: must be no axis with a task of one's own, which tells it")
        if "task.rank" in self.grid.axes and task.signal is None:
            raise ConfigError(f"grid.task.rank: {RANK_AXIS}")
        config = parse_config({**resolved, "task": keys_of(task)})
        return replace(config, plugins=self.plugins)

    @property
    def arrays(self) -> list[str]:
        """The files, DIGEST.npy or DIGEST.npz, of the user's own arrays that its task is made of."""
        return arrays.files_of(self._of("task"))

    def predicted(self) -> "SweepConfig":
        """The same cells by the dynamics that predicts, under the name NAME-theory.

        Taken to convergence, or to a given time where the stop rule is of those that theory ends by (`Stop.foretold`).

        Raises ConfigError where theory from A = 0 has no closed form.
        """
        axes = {key: values for key, values in self.grid.axes.items() if key.startswith("task.")}
        beside = 'A sweep with dynamics.kind = "self_consistent" is theory from each run\'s own start: set it beside'
        if any(self.values("dynamics.weight_decay")):
            raise ConfigError(f"theory from A = 0 has a closed form without weight decay, and none with it. {beside}")
        if any(self.values("dynamics.label_noise")) or any(self.values("dynamics.batch_size")):
            raise ConfigError(
                "theory from A = 0 describes training without noise in its steps; there is none for label noise and "
                'batches: in expectation they are a ridge (docs/theory.md, "Noisy steps"). Leave these out of the grid'
            )
        for values in itertools.product(*axes.values()):
            if not cast(TaskConfig, self._section_at("task", dict(zip(axes, values, strict=True)))).white:
                raise ConfigError(
                    f"theory from A = 0 has a closed form for white inputs, and none for other data. {beside}"
                )
        resolved = self.resolved()
        kind, dynamics = next((name, each) for name, each in Dynamics.members.items() if each.predicts)
        its = [f"dynamics.{key}" for key in dynamics.model_fields]  # of the training it sees these
        foretold = all(getattr(rule, "foretold", False) for rule in self._chosen()["stop"].values())
        unseen = set(TRAINING) - ({"stop"} if foretold else set())
        grid = {
            key: values for key, values in resolved["grid"].items() if key in its or key.partition(".")[0] not in unseen
        }
        told = {key.partition(".")[2]: self.keys[key] for key in its if key in self.keys and key not in grid}
        excess = self.values("stop.excess_error")[:1]
        sections = {
            "task": resolved["task"],
            "init": resolved["init"],
            "grid": grid,
            "stop": resolved["stop"] if foretold else {"excess_error": excess[0]} if excess else {},
            "record": {**resolved["record"], "compare": "none"},
            "run": {"seed": self.run.seed, "independent_dimensions": self.run.independent_dimensions},
            **({"refine": resolved["refine"]} if "refine" in resolved else {}),
        }
        predicted = parse_config({"name": f"{self.name}-theory", "dynamics": {"kind": kind, **told}, **sections})
        return replace(predicted, plugins=self.plugins)

    def expand(self, starts: Collection[tuple[Any, Any]] | None = None) -> Iterator[RunSpec]:
        """The runs, one after the other: facets vary slowest, then variance, then width, then replicate.

        starts: in place of the grid's, without refinement, some values of variance and width.
        """
        variances, widths = list(self.grid.axes.values())[:2]
        for facet in self._facets():
            for start in itertools.product(variances, widths) if starts is None else starts:
                yield from facet.cell(start)

    def levels(self, label: Callable[[Sequence[RunSpec]], str | None]) -> Iterator[list[RunSpec]]:
        """The runs of each level of refinement, from the grid on, that are on no level before it; ordered as `expand`.

        label: what the replicates of a cell came to, None where that is not known. It is asked when the next level is.
        """
        if not self.refine_levels:
            yield list(self.expand())
            return

        def of_cell(facet: Facet) -> Callable[[tuple[Any, Any]], str | None]:
            return lambda start: label(facet.cell(start))

        facets = list(self._facets())
        splits = [self._lattice_of(facet).split(of_cell(facet)) for facet in facets]
        for starts in zip(*splits, strict=True):
            cells = zip(facets, starts, strict=True)
            yield [run for facet, new in cells for start in new for run in facet.cell(start)]

    def grids(self) -> list[dict[str, tuple[Any, ...]]]:
        """The values of variance and width by their keys, on each level of refinement."""
        spanning = list(self.grid.axes.items())[:2]
        if not self.refine_levels:
            return [dict(spanning)]
        levels = range(self.refine_levels + 1)
        return [{key: halved(values, level) or values for key, values in spanning} for level in levels]

    def on_lattice(self) -> Iterator[RunSpec]:
        """The runs that any level of refinement can have, whatever cells come to."""
        for facet in self._facets():
            lattice = self._lattice_of(facet)
            for start in itertools.product(lattice.variances, lattice.widths):
                yield from facet.cell(start)

    def _facets(self) -> Iterator[Facet]:
        keys, further = list(self.grid.axes), dict(list(self.grid.axes.items())[2:])
        for values in itertools.product(*further.values()):
            changes = dict(zip(further, values, strict=True))
            sections = {section: self._section_at(section, changes) for section in SECTIONS}
            yield Facet((keys[0], keys[1]), sections, self.grid.replicates)

    def _lattice_of(self, facet: Facet) -> Lattice:
        """What the grid of a facet is refined on."""
        variances, widths = (halved(values, self.refine_levels) for values in list(self.grid.axes.values())[:2])
        assert variances is not None
        assert widths is not None
        return Lattice(variances, widths, facet.told_apart(variances[0], widths), self.refine_levels)

    def _section_at(self, section: str, changes: Mapping[str, Any]) -> Section:
        """A section with a facet's values in place; of a family the class that is chosen there, with its keys."""
        values = self._of(section)
        for key, value in changes.items():
            where, _, name = key.partition(".")
            if where == section:
                values[name] = value
        if section not in FAMILIES:
            return SECTIONS[section](**values)
        member = self.members[section][values[FAMILIES[section].selector]]
        return member(**{name: values[name] for name in member.model_fields if name in values})

    def _of(self, section: str) -> dict[str, Any]:
        """The values of a section's keys, models as the tables they were."""
        return {
            key.partition(".")[2]: _jsonable(value) for key, value in self.keys.items() if key.startswith(f"{section}.")
        }


def _jsonable(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def as_config(config: "SweepConfig | Mapping[str, Any] | str | os.PathLike[str]") -> SweepConfig:
    """A sweep as Python's functions take it: a configuration, a mapping with its keys, or the path of a TOML file.

    Raises
    ------
    ConfigError
        As `load_config` and `parse_config` do, and if it is none of these.
    """
    if isinstance(config, SweepConfig):
        return config
    if isinstance(config, Mapping):
        return parse_config(config)
    if isinstance(config, str | os.PathLike):
        return load_config(config)
    raise ConfigError(
        f"config: a SweepConfig, a mapping of keys or the path of a TOML file is required, found {config!r:.60}"
    )


def load_config(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> SweepConfig:
    """Read and validate a TOML file, with overrides such as "task.rank=8" put in place of its values.

    Instead of a TOML file, RESULTS/configs/DIGEST.json may be given, the configuration that results keep: its task is
    there where the files are gone that held it.

    An override's value is read as TOML and, where it is none, taken as a string. Its key is dotted as in
    TOML, with quotes allowed: grid.task.rank=[1,2] and grid."task.rank"=[1,2] set the same axis. Plugins that the
    file names are loaded; their paths are relative to it.

    Raises
    ------
    ConfigError
        With one line for every problem: the file (or --set), the key, what is required and what was found.
    """
    check_argument("path", path, (str, os.PathLike), "the path of a TOML file")
    file = Path(path)
    config = read_tables(file)
    if file.suffix == ".json":
        if config.get("plugins"):
            raise ConfigError(f"{path}: needs plugins, which results do not keep. Give the TOML file that names them")
        arrays.look_in(file.parent.parent)
        return parse_config(config, str(path), overrides, stored=True)
    check_depth(config, str(path))
    return _overridden(config, Problems(str(path)), overrides, file.parent)


def parse_config(
    mapping: Mapping[str, Any], source: str = "config", overrides: Iterable[str] = (), *, stored: bool = False
) -> SweepConfig:
    """Validate a mapping with the keys of the TOML file; numpy arrays and scalars are welcome as values.

    stored: it stands in a results directory. Then nothing of it is loaded: a kind of a plugin is read as the data that
    is stored of it, and keys that no kind uses any more are passed over. Overrides and errors are those of
    `load_config`.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{source}: must be a table of keys, found {show(mapping)}")
    check_depth(mapping, source)
    return _overridden(plain(mapping), Problems(source), overrides, None if stored else Path())


def _overridden(
    config: dict[str, Any], problems: Problems, overrides: Iterable[str], folder: Path | None
) -> SweepConfig:
    if isinstance(config.get("grid"), dict):
        config["grid"] = flat_grid(config["grid"], problems)
    for override in overrides:
        override_with(config, override, problems)
    check_depth(config, problems.source)
    told = config.pop("plugins", [])
    if folder is None or isinstance(told, dict):
        members = _as_data(told if isinstance(told, dict) else {})
        return _parse(renamed(config, _renamed_since(config, members)), problems, (), members, strict=False)
    plugins = _plugins(told, problems, folder)
    load(plugins)
    config = own_task(config, folder, problems)
    return _parse(config, problems, plugins, declared())


def _plugins(told: Any, problems: Problems, folder: Path) -> tuple[Plugin, ...]:
    """The plugins that a configuration names, read from their files."""
    if not (isinstance(told, list) and all(isinstance(each, str) for each in told)):
        problems.add(("plugins",), f'must be a list of files, such as ["my_dynamics.py"], found {show(told)}')
        problems.raise_if_any()
    plugins = tuple(read_plugin(folder / each) for each in told)
    if len({plugin.name for plugin in plugins}) < len(plugins):
        problems.add(("plugins",), f"must have different file names, found {show(told)}")
        problems.raise_if_any()
    return plugins


def _as_data(told: Mapping[str, Any]) -> Members:
    """The declared choices, and stand-ins for those that plugins declared and this process does not have."""
    members = {section: dict(choices) for section, choices in declared().items()}
    for plugin in told.values():
        for name, kind in plugin["kinds"].items():
            if name not in members[kind["section"]]:
                members[kind["section"]][name] = _stand_in(kind["section"], name, kind)
    return members


def under_todays_names(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of a results directory, whose keys may have had other names when it was stored."""
    told = stored.get("plugins", {})
    return renamed(stored, _renamed_since(stored, _as_data(told if isinstance(told, dict) else {})))


def _renamed_since(stored: Mapping[str, Any], members: Members) -> dict[str, str]:
    """The former keys of the kinds that a stored configuration chooses."""
    chosen: dict[str, dict[str, type[Choice]]] = {}
    for section, family in FAMILIES.items():
        grid, table = (each if isinstance(each, Mapping) else {} for each in (stored.get("grid"), stored.get(section)))
        axis = grid.get(f"{section}.{family.selector}")
        names = axis if isinstance(axis, list) else [table.get(family.selector, family.default)]
        chosen[section] = {name: member for name, member in members[section].items() if name in names}
    return former_keys(chosen)


def _stand_in(section: str, name: str, kind: Mapping[str, Any]) -> type[Choice]:
    """A class that knows a kind's keys and id, and nothing else."""
    first = {key: former for former, key in kind.get("former", {}).items()}
    younger = kind.get("younger", {})
    keys: dict[str, Any] = {}
    for key in kind["keys"]:
        type_: Any = Annotated[_Scalar, Formerly(first.get(key, key))]
        field = Field(default=younger.get(key), title=key, description="a value")
        keys[key] = Annotated[type_, Younger] if key in younger else type_, field
    member: Any = create_model(name, __base__=FAMILIES[section], **keys)
    setattr(member, FAMILIES[section].selector, name)
    member.version, member.predicts = kind["version"], kind["predicts"]
    for trait in ("fixed_step", "allows_paper_rule", "takes_data", "takes_richness"):
        setattr(member, trait, True)  # it was accepted when it ran
    return member  # type: ignore[no-any-return]


def _parse(
    mapping: Mapping[str, Any],
    problems: Problems,
    plugins: Sequence[Plugin],
    members: Members,
    *,
    strict: bool = True,
) -> SweepConfig:
    """Check everything, raise what is wrong, and only then build the configuration.

    strict: a key that no run uses is wrong.
    """
    _report_unknown(mapping, ("name", "grid", "plugins", "data", "refine", *SECTIONS), (), problems, members)
    if "name" in mapping:
        name = Key.of(NAME, str).check(mapping["name"], ("name",), problems)
    else:
        problems.add(("name",), 'is required, found none. Example: name = "quickstart"')
    of_grid = Problems(problems.source, problems.overridden)  # told behind those of the sections, as in the file
    axes, replicates = _read_grid(mapping.get("grid", {}), of_grid, members)
    values = _section_values(mapping, axes, problems, members, strict=strict)
    levels = _refine_levels(mapping.get("refine", {}), values | axes, replicates, of_grid, members)
    problems.lines += of_grid.lines
    facets = axis_keys(members).keys() - Start.model_fields.keys()
    for key in axes:
        path = tuple(key.split("."))
        if key in facets and problems.is_overridden(path):
            problems.add(path, f"has no effect, as grid.{key} is an axis; set grid.{key} instead")
    known = {key: entry for key, entry in (values | axes).items() if entry is not None}
    check_cells(known, axes, problems, members)
    problems.raise_if_any()
    assert name is not None
    assert replicates is not None
    keys = {key: known[key][0] for key in known if "." in key}
    grid = GridConfig({key: known[key] for key in axes}, replicates[0])
    return SweepConfig(name[0], grid, keys, tuple(plugins), members, levels)


def _section_values(
    mapping: Mapping[str, Any], axes: _Values, problems: Problems, members: Members, *, strict: bool
) -> _Values:
    """The one value of every key that some run uses, the default where it is not given."""
    values: _Values = {}
    for section in SECTIONS:
        table = mapping.get(section, {})
        if not isinstance(table, Mapping):
            problems.add((section,), f"must be a table, found {show(table)}")
            table = {}
        fields = fields_of(section, members)
        offered = [key for key, field in fields.items() if Internal not in field.metadata or key in table]
        _report_unknown(table, offered, (section,), problems, members)
        for name, field_ in fields.items():
            key, path = f"{section}.{name}", (section, name)
            users = _users(section, name, values, axes, members)
            checked = [Key.of(each) for each in (users or {"": field_}).values()]
            entry: tuple[Any, ...] | None = None
            if strict and name in table and users == {} and _chosen(section, values, axes):
                problems.add(path, _unused(section, name, table[name], members))
            elif name in table:
                found = [each.check(table[name], path, problems) for each in checked]
                entry = None if None in found else found[0]
            elif users is None or users:
                entry = _common_default(users or {"": field_}, path, problems, key in axes)
            if users is None or users:
                values[key] = entry
    return values


def _unused(section: str, name: str, value: Any, members: Members) -> str:
    """What is wrong with a key that none of the chosen kinds has."""
    selector = f"{section}.{FAMILIES[section].selector}"
    using = " or ".join(show(kind) for kind, member in members[section].items() if name in member.model_fields)
    return f"has no effect, found {show(value)}; {selector} = {using} would use it. Remove it, or choose that"


def _chosen(section: str, values: _Values, axes: _Values) -> tuple[Any, ...]:
    """The kinds of a family that the sweep has; none where what was given is wrong."""
    selector = f"{section}.{FAMILIES[section].selector}"
    return axes.get(selector) or values.get(selector) or ()


def _users(section: str, name: str, values: _Values, axes: _Values, members: Members) -> dict[str, FieldInfo] | None:
    """The field of a key in each of the chosen members of a family that has it; None where the key is no member's."""
    if section not in FAMILIES or name == FAMILIES[section].selector:
        return None
    return {
        choice: members[section][choice].model_fields[name]
        for choice in _chosen(section, values, axes)
        if name in members[section][choice].model_fields
    }


def _common_default(
    users: Mapping[str, FieldInfo], path: tuple[str, ...], problems: Problems, is_axis: bool
) -> tuple[Any, ...] | None:
    """The default of a key, which all kinds of the sweep must share."""
    defaults = [field_.default for field_ in users.values()]
    if any(field_.is_required() for field_ in users.values()):
        if not is_axis:
            problems.add(path, f"is required with {' and '.join(map(show, users))}, found none")
        return None
    if any(default != defaults[0] for default in defaults) and not is_axis:
        told = " and ".join(f"{show(default)} with {show(kind)}" for kind, default in zip(users, defaults, strict=True))
        problems.add(path, f"must be given, as its default is {told}, found none")
        return None
    return (defaults[0],)


def _read_grid(grid: Any, problems: Problems, members: Members) -> tuple[_Values, tuple[int] | None]:
    """The values of every axis, in order, and the number of replicates."""
    if not isinstance(grid, Mapping):
        problems.add(("grid",), f"must be a table, found {show(grid)}")
        return {}, None
    grid, known = flat_grid(grid, problems), axis_keys(members)
    _report_unknown(grid, (*known, "replicates"), ("grid",), problems, members)
    replicates = Key.of(REPLICATES, int).check(grid.get("replicates", 1), ("grid", "replicates"), problems)
    keys = [
        *_start_keys(grid, "variance", VARIANCE_KEYS, "gamma_sigma2 = { start = -3, stop = 0, num = 16 }", problems),
        *_start_keys(grid, "width", WIDTH_KEYS, "width = [16, 64, 256]", problems),
        *(key for key in grid if key in known and key not in Start.model_fields),
    ]
    read = {key: read_axis(grid[key], Key.of(known[key]), ("grid", key), problems) for key in keys}
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


def _refine_levels(
    table: Any, known: _Values, replicates: tuple[int] | None, problems: Problems, members: Members
) -> int:
    """How often cells are split; 0, with the problems noted, where the grid cannot be refined so often.

    known: the values of every key, those of axes among them.
    """
    path = ("refine", "levels")
    if not isinstance(table, Mapping):
        problems.add(("refine",), f"must be a table, found {show(table)}. Example: levels = 3")
        return 0
    _report_unknown(table, ("levels",), ("refine",), problems, members)
    read = Key.of(LEVELS, int).check(table.get("levels", 0), path, problems)
    levels = 0 if read is None else read[0]
    spanning = {key: known[key] for key in known if key in Start.model_fields}
    if not levels or replicates is None or None in spanning.values():
        return 0
    if 0 in (known.get("task.rank") or ()):
        problems.add(path, "must be 0 where task.rank does not tell a signal: cells are split by regimes, found "
                           f"{levels}. Give the rank")  # fmt: skip
        return 0
    if all(len(values or ()) == 1 for values in spanning.values()):
        problems.add(path, f"needs two values of {' or '.join(spanning)}, between which cells lie, found one of each")
        return 0
    count = replicates[0] * math.prod(len(values or ()) for key, values in known.items() if key not in spanning)
    count *= math.prod((len(values or ()) - 1) * 2**levels + 1 for values in spanning.values())
    if count > MAX_REFINED:
        problems.add(
            path, f"must make at most 10^6 runs where every cell is split, found {levels}, which makes {count}"
        )
        return 0
    for key, values in spanning.items():
        if halved(values or (), levels) is None:
            problems.add(
                ("grid", key),
                "must be evenly spaced, such as { start, stop, num }, where refine.levels halves its steps, found "
                f"{show(list(values or ()))}",
            )
    return levels


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


def _report_unknown(
    table: Mapping[str, Any], known: Iterable[str], path: tuple[str, ...], problems: Problems, members: Members
) -> None:
    """Note every key that does not exist, with the one that may have been meant."""
    known, every, renamed_keys = list(known), all_keys(members), former_keys(members)
    full_names = ["grid.replicates", *(f"grid.{key}" for key in Start.model_fields), *every]
    for key in table:
        if key in known:
            continue
        found = show(table[key])
        close = [dotted((*path, name)) for name in difflib.get_close_matches(key, known, n=1)]
        meant = close or [name for name in full_names if name.endswith(f".{key}")]
        new = renamed_keys.get(key if path == ("grid",) else dotted((*path, key)))
        if new is not None:
            text = f"was renamed to {'grid.' if path == ('grid',) else ''}{new}, found {found}; rename it"
        elif path == ("grid",) and key in every:
            text = f"cannot be an axis (task.*, dynamics.*, stop.* and run.precision can), found {found}"
        elif meant:
            text = f"is not a key, found {found}; did you mean {' or '.join(meant)}?"
        else:
            text = f"is not a key, found {found}; known are {', '.join(known)}"
        problems.add((*path, key), text)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What stands between adding the runs of the config `new` to a directory made with `old`, a line each.

    Both are resolved configurations. The grid's values, the replicates and the name may differ, and so may
    keys that one of the two does not use, such as a tolerance under gradient descent.
    """
    before, after = parse_config(old, "the directory's config", stored=True), parse_config(new, stored=True)
    lines = []
    for key in dict.fromkeys((*before.grid.axes, *after.grid.axes)):
        if key not in after.grid.axes:
            lines.append(f"grid.{key}: an axis in the directory, none in the config")
        elif key not in before.grid.axes:
            lines.append(f"grid.{key}: no axis in the directory, one in the config")
    for key in before.keys:
        if key in before.grid.axes or key in after.grid.axes or key not in after.keys:
            continue
        was, now = before.keys[key], after.keys[key]
        if was != now:
            lines.append(f"{key}: {_told(was)} in the directory, {_told(now)} in the config")
    return lines


def _told(value: object) -> str:
    return "not set" if value is None else show(value)
