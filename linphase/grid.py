"""The pieces a configuration is read with: problems collected, values checked, axes of the grid written out.

An axis is one value, a list of values, or { start, stop, num }, inclusive and evenly spaced. Spacing is exact
rational arithmetic, so that -3 to 0 in 16 and in 31 values share their numbers. Axis values are rounded to 12
significant digits: those are the numbers that are used, hashed and stored.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, Any, Literal, Self, TypeAlias, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from linphase.errors import ConfigError
from linphase.spec import STRICT

Path: TypeAlias = tuple[str | int, ...]  # of a key in the configuration, such as ("grid", "task.rank", 1)
SIGNIFICANT_DIGITS = 12  # of every axis value


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
    def of(cls, field: FieldInfo, annotation: Any = None) -> Self:
        """The key behind a pydantic field, whose description is the requirement in words."""
        annotation = annotation or field.annotation
        adapter = TypeAdapter(Annotated[annotation, field], config=STRICT)
        return cls(adapter, field.description or "", annotation is int, get_origin(annotation) is not Literal)

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


@dataclass(frozen=True)
class Spaced:
    """An axis { start, stop, num }, not yet written out: 10^9 values cost nothing until they are wanted."""

    start: Fraction
    stop: Fraction
    num: int
    is_integer: bool

    def values(self) -> tuple[float, ...]:
        """The values, start and stop included, each the correctly rounded quotient of two integers."""
        steps = max(1, self.num - 1)
        denominator = self.start.denominator * self.stop.denominator
        start = self.start.numerator * self.stop.denominator
        stop = self.stop.numerator * self.start.denominator
        numerators = (start * (steps - i) + stop * i for i in range(self.num))
        if self.is_integer:
            return tuple(numerator // steps for numerator in numerators)
        return tuple(numerator / (denominator * steps) for numerator in numerators)


Axis: TypeAlias = tuple[Any, ...] | Spaced


def size(axis: Axis) -> int:
    """The number of values of an axis, without writing it out."""
    return axis.num if isinstance(axis, Spaced) else len(axis)


def read_axis(value: object, key: Key, path: Path, problems: Problems) -> Axis | None:
    """The axis that a value in the grid describes; None, with the problems noted, if it describes none."""
    single = key.read(value)
    if single is not None:
        return single
    if isinstance(value, Mapping) and key.takes_numbers:
        return _read_spaced(value, key, path, problems)
    if not isinstance(value, list):
        key.check(value, path, problems)
        return None
    if not value:
        problems.add(path, "must hold at least one value, found []")
        return None
    checked = [key.check(entry, (*path, i), problems) for i, entry in enumerate(value)]
    sound = tuple(entry[0] for entry in checked if entry is not None)
    return sound if len(sound) == len(value) else None


def _read_spaced(value: Mapping[str, Any], key: Key, path: Path, problems: Problems) -> Spaced | None:
    """The axis { start, stop, num }; the ends obey the key's requirement, so all between them do."""
    if set(value) != {"start", "stop", "num"}:
        problems.add(path, f"must be {{ start, stop, num }}, a list or one value, found {show(value)}")
        return None
    ends = []
    for name in ("start", "stop"):
        end = key.check(value[name], (*path, name), problems)
        if end is not None and not isinstance(end[0], int | float):
            problems.add((*path, name), f"must be a number, found {show(value[name])}")
        elif end is not None:
            ends.append(Fraction(repr(end[0])))
    num = value["num"]
    if type(num) is not int or num < 1:
        problems.add((*path, "num"), f"must be an integer of at least 1, found {show(num)}")
        return None
    if len(ends) < 2:
        return None
    start, stop = ends
    if (start == stop) != (num == 1):
        required = "must be 1 where start equals stop" if num > 1 else "must be at least 2, as start is not stop"
        problems.add((*path, "num"), f"{required}, found {show(num)}")
        return None
    if key.is_integer and num > 1 and (stop - start) % (num - 1) != 0:
        step = float((stop - start) / (num - 1))
        problems.add(path, f"must step by a whole number, found steps of {step:.6g}; change num or list the values")
        return None
    return Spaced(start, stop, num, key.is_integer)


def write_out(axis: Axis, path: Path, problems: Problems) -> tuple[Any, ...] | None:
    """The values of an axis, rounded; None, with the problems noted, if two of them are the same."""
    exact = axis.values() if isinstance(axis, Spaced) else axis
    values = tuple(round_value(value) for value in exact)
    if len(set(values)) == len(values):
        return values
    if isinstance(axis, Spaced):
        problems.add(path, f"must span {axis.num} values that differ in {SIGNIFICANT_DIGITS} digits, found fewer")
        return None
    first: dict[Any, int] = {}
    for i, value in enumerate(values):
        if first.setdefault(value, i) != i:
            rest = f"found {show(value)} again (first at [{first[value]}])"
            problems.add((*path, i), f"must differ from the other values in {SIGNIFICANT_DIGITS} digits, {rest}")
    return None


def round_value(value: Any) -> Any:
    """A float to 12 significant digits, never -0.0; anything else as it is."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") + 0.0 if isinstance(value, float) else value


def dotted(path: Path) -> str:
    """A path as a reader of TOML knows it, such as grid.width[2]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


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
