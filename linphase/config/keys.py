"""Keys of the configuration: which there are, what each requires, and the problems found."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias, get_origin

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from linphase.errors import ConfigError
from linphase.model.network import Start
from linphase.model.section import STRICT, Choice, Content
from linphase.runs.spec import FAMILIES, SECTIONS

Path: TypeAlias = tuple[str | int, ...]  # of a key in the configuration, such as ("grid", "task.rank", 1)


@dataclass
class Problems:
    """All that is wrong with one configuration, to be raised together."""

    source: str
    overridden: list[Path] = field(default_factory=list)  # keys that --set has given
    lines: list[str] = field(default_factory=list)

    def add(self, path: Path, text: str) -> None:
        """Note a problem at a key; `text` says what is required and what was found."""
        separator = " " if self.is_overridden(path) else ": "
        self.lines.append(f"{self.origin(path)}{separator}{dotted(path)}: {text}")

    def origin(self, path: Path) -> str:
        """Where the value at a key comes from: --set, or the file."""
        return "--set" if self.is_overridden(path) else self.source

    def is_overridden(self, path: Path) -> bool:
        """Whether --set has given this key, its table, or a part of it (the whole grid aside)."""
        return any(
            path[: len(given)] == given or (path != ("grid",) and given[: len(path)] == path)
            for given in self.overridden
        )

    def raise_if_any(self) -> None:
        """Raise one ConfigError with a line for every problem."""
        if self.lines:
            raise ConfigError("\n".join(dict.fromkeys(self.lines)))


@dataclass(frozen=True)
class Key:
    """What a key of the configuration requires: as a pydantic type, and in words."""

    adapter: TypeAdapter[Any]
    requirement: str
    is_integer: bool
    takes_numbers: bool

    @classmethod
    def of(cls, field: FieldInfo, annotation: Any = None) -> "Key":
        """The key behind a pydantic field, whose description is the requirement in words."""
        known = _known.get(id(field))
        if known is None or known[0] is not field:  # an adapter takes its time to be made
            annotation = annotation or field.annotation
            adapter = TypeAdapter(Annotated[annotation, field], config=STRICT)
            plain = get_origin(annotation) is not Literal
            known = _known[id(field)] = field, cls(adapter, field.description or "", annotation is int, plain)
        return known[1]

    def read(self, value: object) -> tuple[Any] | None:
        """The validated value in a tuple of one; None if it is not as required."""
        try:
            return (self.adapter.validate_python(value),)
        except ValidationError:
            return None

    def check(self, value: object, path: Path, problems: Problems) -> tuple[Any] | None:
        """The same, with the problem noted."""
        read = self.read(value)
        if read is None:
            problems.add(path, f"must be {self.requirement}, found {show(value)}")
        return read


_known: dict[int, tuple[FieldInfo, Key]] = {}


def dotted(path: Path) -> str:
    """A path as a reader of TOML knows it, such as grid.width[2]; a key with control characters in quotes."""
    named = (
        f"[{part}]" if isinstance(part, int) else f".{part if part.isprintable() else show(part)}" for part in path
    )
    return "".join(named).removeprefix(".")


def show(value: object) -> str:
    """A value as it would stand in the TOML file, shortened."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int) and value.bit_length() > 64:
        text = f"an integer of about 10^{int(value.bit_length() * 0.30103)}"
    elif isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, Mapping):
        text = f"{{ {', '.join(f'{key} = {show(entry)}' for key, entry in value.items())} }}" if value else "{}"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(show(entry) for entry in value[:20])}{', ...' if len(value) > 20 else ''}]"
    else:
        text = repr(value) if isinstance(value, int | float) else str(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."


def show_some(values: Sequence[object]) -> str:
    """The first few of many values."""
    more = f" and {len(values) - 3} more" if len(values) > 3 else ""
    return ", ".join(show(value) for value in values[:3]) + more


# ------------------------------------------------------------------------------------------------ which there are


VARIANCE_KEYS = ("gamma_sigma2", "init_variance")
WIDTH_KEYS = ("gamma_w", "width")
REPLICATES: FieldInfo = Field(
    ge=1, title="independent draws of task and start in every cell", description="an integer of at least 1"
)
LEVELS: FieldInfo = Field(
    ge=0,
    le=10,
    title="how often cells of the grid over variance and width are split in four where the outcome changes",
    description="an integer from 0 to 10",
)
NAME: FieldInfo = Field(
    title="the results go to results/NAME unless --out says otherwise",
    pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$",
    description="1 to 100 of the characters A-Z a-z 0-9 . _ - and begin with a letter, a digit or _",
)
_AXES = ("task", "init", "dynamics", "stop")  # sections any of whose keys can be an axis

Members = Mapping[str, Mapping[str, type[Choice]]]  # the classes a family's selector chooses from, by section


def declared() -> Members:
    """The choices that are declared in this process, now."""
    return {section: dict(family.members) for section, family in FAMILIES.items()}


def fields_of(section: str, members: Members) -> dict[str, FieldInfo]:
    """The keys of a section: of a family its selector, and those of any of its members."""
    if section not in FAMILIES:
        return dict(SECTIONS[section].model_fields)
    family = FAMILIES[section]
    fields: dict[str, FieldInfo] = {}
    for member in members[section].values():
        fields |= {name: field for name, field in member.model_fields.items() if name not in fields}
    return {family.selector: _selector(section, tuple(members[section]), tuple(members[section].values())), **fields}


def former_keys(chosen: Members) -> dict[str, str]:
    """The keys that had another name when results existed already, by that name: {"stop.old": "stop.new"}.

    No name that another key of the chosen classes has today.
    """
    names: dict[str, str] = {}
    for section, model in SECTIONS.items():
        models = tuple(chosen[section].values()) if section in FAMILIES else (model,)
        taken = {key for each in models for key in each.model_fields}
        for former, key in ((former, key) for each in models for former, key in each.former_names().items()):
            if former not in taken:
                names[f"{section}.{former}"] = f"{section}.{key}"
    return names


def users_of(key: str, members: Members) -> tuple[str, ...]:
    """The choices of a family that use a key, such as ("gd",) for `dynamics.update`; none where all do."""
    section, _, name = key.partition(".")
    if section not in FAMILIES or name == FAMILIES[section].selector:
        return ()
    users = tuple(choice for choice, member in members[section].items() if name in member.model_fields)
    return () if len(users) == len(members[section]) else users


def all_keys(members: Members) -> dict[str, FieldInfo]:
    """Every key of every section, by its dotted name."""
    return {f"{section}.{name}": field for section in SECTIONS for name, field in fields_of(section, members).items()}


def axis_keys(members: Members) -> dict[str, FieldInfo]:
    """The keys that can be an axis: those of the start, and by their dotted names those that decide numbers."""
    facets = {
        key: field
        for key, field in all_keys(members).items()
        if (key.partition(".")[0] in _AXES or key == "run.precision") and Content not in field.metadata
    }
    return {**Start.model_fields, **facets}


@lru_cache(maxsize=64)
def _selector(section: str, names: tuple[str, ...], classes: tuple[type[Choice], ...]) -> FieldInfo:
    """The key that chooses the class of a section."""
    told = "; ".join(
        f'"{name}": {_first_sentence(each.__doc__ or "")}' for name, each in zip(names, classes, strict=True)
    )
    quoted = [f'"{name}"' for name in names]
    choices = f"{', '.join(quoted[:-1])} or {quoted[-1]}" if len(quoted) > 1 else quoted[0]
    choice: Any = Literal[names]
    return FieldInfo(annotation=choice, default=FAMILIES[section].default, title=told, description=choices)


def _first_sentence(doc: str) -> str:
    return " ".join(doc.strip().partition("\n\n")[0].split()).removesuffix(".")
