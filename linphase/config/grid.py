"""The pieces a configuration is read with: problems collected, values checked, axes of the grid written out.

An axis is one value, a list of values, or { start, stop, num }, inclusive and evenly spaced. Spacing is exact
rational arithmetic, so that -3 to 0 in 16 and in 31 values share their numbers. Axis values are rounded to 12
significant digits: those are the numbers that are used, hashed and stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from linphase.config.keys import Key, Path, Problems, show

SIGNIFICANT_DIGITS = 12  # of every axis value


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
    if isinstance(value, str) and key.takes_numbers:
        shapes = "a list of such values or { start, stop, num }"
        problems.add(path, f"must be {key.requirement}, {shapes}, found {show(value)}")
        return None
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
