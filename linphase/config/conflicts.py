"""What must hold between the keys of a configuration, in every combination of the values they take in a sweep."""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from pydantic import BaseModel

from linphase.config.keys import Key, Members, Problems, show, show_some
from linphase.errors import ConfigError, LinphaseError
from linphase.model.draws import COLORED, TaskConfig
from linphase.model.network import MAX_WIDTH, is_normal, power
from linphase.runs.comparison import COMPARISONS
from linphase.runs.spec import FAMILIES

Known = Mapping[str, tuple[Any, ...]]  # the values each key takes, without the keys that are wrong in themselves


def check_cells(known: Known, axes: Iterable[str], problems: Problems, members: Members) -> None:
    """Note every axis that its section does not use, and every combination of values that cannot be run."""
    for key in axes:
        _check_axis(key, known, problems, members)
    conflicts: list[tuple[str, str] | None] = [
        _rank_conflict(known),
        _spectra_conflict(known),
        _white_conflict(known, members),
        _trait_conflict(known, members),
        _decay_conflict(known),
        _signal_conflict(known, members),
        _rule_conflict(known, members),
        _noise_conflict(known),
        _compare_conflict(known, members),
        _width_conflict(known),
        _variance_conflict(known),
    ]
    if not any(conflicts):
        conflicts = [_start_conflict(known, members)]
    for key, text in filter(None, conflicts):
        problems.add(("grid", key) if key in axes else tuple(key.split(".")), text)


def _check_axis(key: str, known: Known, problems: Problems, members: Members) -> None:
    """Note an axis whose key one of the sweep's kinds does not use, or some value of which one does not take."""
    section, _, name = key.partition(".")
    if section not in FAMILIES or name == FAMILIES[section].selector:
        return
    selector = f"{section}.{FAMILIES[section].selector}"
    chosen = {choice: members[section][choice] for choice in known.get(selector, ())}
    idle = [choice for choice, member in chosen.items() if name not in member.model_fields]
    if idle:
        text = f"must not be an axis with {selector} = {show(idle[0])}, which does not use it"
        found = show(known.get(key, ()))
        problems.add(("grid", key), f"{text} (the same runs would be repeated), found {found}")
        return
    for member in chosen.values():
        for value in known.get(key, ()):
            plain = value.model_dump() if isinstance(value, BaseModel) else value
            Key.of(member.model_fields[name]).check(plain, ("grid", key), problems)


def _rank_conflict(known: Known) -> tuple[str, str] | None:
    columns, rows = (known.get(f"task.{key}") or (None,) for key in ("dimension", "output_dimension"))
    smallest = min((each for each in (*columns, *rows) if each is not None), default=math.inf)
    if 0 in known.get("task.rank", ()) and not any(known.get(f"task.{key}", (None,))[0] for key in ("target", "data")):
        return "task.rank", f"must be {TaskConfig.model_fields['rank'].description}, found 0"
    ranks = [rank for rank in known.get("task.rank", ()) if rank > smallest]
    key = "task.output_dimension" if smallest in rows else "task.dimension"
    return ("task.rank", f"must be at most {key} = {smallest}, found {show_some(ranks)}") if ranks else None


_SPECTRA = ("signal_decay", "input_decay", "input_alignment", "capacity_exponent", "source_exponent")


def _spectra_conflict(known: Known) -> tuple[str, str] | None:
    """Keys of the spectra that do not go together."""
    given = [key for key in (*_SPECTRA, "output_dimension") if f"task.{key}" in known]
    for values in product(*(known[f"task.{key}"] for key in given)):
        try:
            TaskConfig(rank=1, **dict(zip(given, values, strict=True)))
        except ConfigError as error:
            key, _, text = str(error).removeprefix("TaskConfig: ").partition(" ")
            return f"task.{key}", text if text.startswith("must") else f"must not be given so: {key} {text}"
    return None


def _white_conflict(known: Known, members: Members) -> tuple[str, str] | None:
    """Theory in closed form, where inputs are not white."""
    for name in COLORED:
        if any(value != TaskConfig.model_fields[name].default for value in known.get(f"task.{name}", ())):
            what = "[data]" if name == "data" else f"task.{name}"
            for kind in known.get("dynamics.kind", ()):
                dynamics: Any = members["dynamics"][kind]
                if getattr(dynamics, "predicts", False):
                    others = [other for other, each in members["dynamics"].items() if not getattr(each, "predicts", 0)]
                    return "dynamics.kind", f"must be {_or(others)} beside {what}, found {show(kind)}: {_NO_FORM}"
            if (compare := known.get("record.compare", ("none",))[0]) != "none":
                return "record.compare", f'must be "none" beside {what}, found {show(compare)}: {_NO_FORM}'
    return None


def _trait_conflict(known: Known, members: Members) -> tuple[str, str] | None:
    """A dynamics of a plugin that does not say that it can do what is asked of it."""
    asked = {
        "takes_data": [(f"task.{key}", TaskConfig.model_fields[key].default) for key in COLORED],
        "takes_richness": [("init.richness", 1.0)],
    }
    for trait, keys in asked.items():
        for key, default in keys:
            for kind in known.get("dynamics.kind", ()):
                dynamics: Any = members["dynamics"][kind]
                refuses = not (getattr(dynamics, trait) or getattr(dynamics, "predicts", False))
                if refuses and any(value != default for value in known.get(key, ())):
                    can = [name for name, each in members["dynamics"].items() if getattr(each, trait)]
                    what = "[data]" if key == "task.data" else key
                    return (
                        "dynamics.kind",
                        f"must be {_or(can)} beside {what}, found {show(kind)}: its {trait} is False",
                    )
    return None


def _decay_conflict(known: Known) -> tuple[str, str] | None:
    """A comparison with the closed form, where weights decay."""
    if any(known.get("dynamics.weight_decay", ())) and (compare := known.get("record.compare", ("none",))[0]) != "none":
        return "record.compare", f'must be "none" beside dynamics.weight_decay, found {show(compare)}: {_NO_DECAY}'
    return None


_NO_DECAY = "there is no closed form where weights decay"
_NO_FORM = "there is no closed form where inputs are not white"


def _signal_conflict(known: Known, members: Members) -> tuple[str, str] | None:
    """The paper's rules, where there is no signal."""
    if not (known.get("task.data", (None,))[0] or (known.get("task.target", (None,))[0]
                                                   and not known.get("task.signal", (None,))[0])):  # fmt: skip
        return None
    for rule in known.get("stop.rule", ()):
        if getattr(members["stop"][rule], "needs_signal", False):
            return "stop.rule", f"must be another than {show(rule)} for a task without a signal"
    for rate in known.get("dynamics.learning_rate", ()):
        if rate != "auto" and not isinstance(rate, float):
            return (
                "dynamics.learning_rate",
                f'must be "auto" or a number for a task without a signal, found {show(rate)}',
            )
    return None


def largest_scale(columns: Sequence[int], rows: Sequence[int | None]) -> float:
    """The largest base d = sqrt(d_out d_in) of exponents in a sweep; d_out is d_in where it is None."""
    return math.sqrt(max(d_in * (d_out or d_in) for d_in, d_out in product(columns or (2,), rows or (None,))))


def _rule_conflict(known: Known, members: Members) -> tuple[str, str] | None:
    """A stop rule that means nothing for a kind."""
    for rule, kind in product(known.get("stop.rule", ()), known.get("dynamics.kind", ())):
        stop, dynamics = members["stop"][rule], members["dynamics"][kind]
        if not stop.fits(dynamics):  # type: ignore[attr-defined]
            others = [name for name, each in members["stop"].items() if each.fits(dynamics)]  # type: ignore[attr-defined]
            rest = [name for name, each in members["dynamics"].items() if stop.fits(each)]  # type: ignore[attr-defined]
            return (
                "stop.rule",
                f"must be {_or(others)} with dynamics.kind = {show(kind)}, found {show(rule)}, a rule for {_or(rest)}",
            )
    return None


def _noise_conflict(known: Known) -> tuple[str, str] | None:
    """Noise of the steps of descent, where it is not worked out or there is nothing to draw it of."""
    sizes = [size for size in known.get("dynamics.batch_size", ()) if size is not None]
    noises = [noise for noise in known.get("dynamics.label_noise", ()) if noise]
    if noises and sizes:
        text = "must be 0 beside dynamics.batch_size, whose samples have labels with the noise of the task"
        return "dynamics.label_noise", f"{text}, found {show_some(noises)}"
    for name in COLORED:
        if any(value != TaskConfig.model_fields[name].default for value in known.get(f"task.{name}", ())):
            what = "[data]" if name == "data" else f"task.{name}"
            if noises:
                text = f"must be 0 beside {what}, found {show_some(noises)}: what it does where inputs are not white"
                return "dynamics.label_noise", f"{text} is not worked out"
            if sizes and name in ("data", "samples"):
                text = f"must not be given beside {what}, found {show_some(sizes)}: fresh samples are of a population"
                return "dynamics.batch_size", text
    if sizes and known.get("task.target", (None,))[0] and not known.get("task.signal", (None,))[0]:
        text = f"must not be given beside task.target without task.signal, found {show_some(sizes)}"
        return "dynamics.batch_size", f"{text}: the labels of fresh samples are A* x + noise"
    return None


def _compare_conflict(known: Known, members: Members) -> tuple[str, str] | None:
    """A comparison that means nothing for a kind."""
    compare = known.get("record.compare", ("none",))[0]
    for kind in known.get("dynamics.kind", ()):
        dynamics: Any = members["dynamics"][kind]
        if not COMPARISONS[compare].fits(dynamics):
            others = [name for name, each in COMPARISONS.items() if each.fits(dynamics)]
            return "record.compare", f"must be {_or(others)} with dynamics.kind = {show(kind)}, found {show(compare)}"
    return None


def _start_conflict(known: Known, members: Members) -> tuple[str, str] | None:
    """Keys that give no start, or none that theory can predict where that is asked for.

    At 0 and the ends of what each of them takes: what is between is a start then too.
    """
    ends = {key: _ends(values) for key, values in known.items() if _are_numbers(values)}
    predicted = any(getattr(members["dynamics"][kind], "predicts", False) for kind in known.get("dynamics.kind", ()))
    sigma2, width = (
        next((key for key in pair if key in ends), None)
        for pair in (("gamma_sigma2", "init_variance"), ("gamma_w", "width"))
    )
    sides = [set(known.get(f"task.{key}", ())) for key in ("dimension", "output_dimension")]
    if sigma2 is None or width is None or not all(sides):
        return None  # told elsewhere
    shapes = {(d_out or d_in, d_in) for d_in, d_out in product(*sides)}
    ratios = ends.get("dynamics.learning_rate_ratio", {1.0})
    for kind in known.get("init.kind", ()):
        init: Any = members["init"][kind]
        keys = [key for key in init.model_fields if f"init.{key}" in ends]
        takes = [ends[key] for key in (sigma2, width, *(f"init.{key}" for key in keys))]
        for shape, ratio, (variance, neurons, *values) in product(shapes, ratios, product(*takes)):
            try:
                one = init(**dict(zip(keys, values, strict=True)))
                start = one.at(math.sqrt(math.prod(shape)), rate_ratio=ratio, **{sigma2: variance, width: neurons})
            except LinphaseError as error:
                given = [key for key in keys if ends[f"init.{key}"] != {init.model_fields[key].default}]
                told = str(error).removeprefix(f"{init.__name__}: ")
                return f"init.{given[-1]}" if given else "init.kind", f"must give a start with the other keys: {told}"
            try:
                if predicted:
                    start.require_closed_form(shape)
            except LinphaseError as error:
                return "init.kind", f"must give starts that theory can predict: {error}"
    return None


def _ends(values: tuple[Any, ...]) -> set[Any]:
    """The least and the largest, and 0 where it is among them."""
    return {min(values), max(values), *({0} & set(values))}


def _are_numbers(values: tuple[Any, ...]) -> bool:
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _or(names: Sequence[str]) -> str:
    return " or ".join(map(show, names))


def _width_conflict(known: Known) -> tuple[str, str] | None:
    # d^x is furthest from 1 at the largest d: all cells hold where those of the largest d do.
    d = largest_scale(*(known.get(f"task.{key}", ()) for key in ("dimension", "output_dimension")))
    wide = [x for x in known.get("gamma_w", ()) if not power(d, x) <= MAX_WIDTH]
    limit = f"{math.log(MAX_WIDTH, d):.4f} at d = {d:g} (a width of 2^53)"
    return ("gamma_w", f"must be at most {limit}, found {show_some(wide)}") if wide else None


def _variance_conflict(known: Known) -> tuple[str, str] | None:
    d = largest_scale(*(known.get(f"task.{key}", ()) for key in ("dimension", "output_dimension")))
    key = "gamma_sigma2" if "gamma_sigma2" in known else "init_variance"
    variances = {x: power(d, x) if key == "gamma_sigma2" else x for x in known.get(key, ())}
    if extreme := [x for x, variance in variances.items() if not is_normal(variance)]:
        low, high = math.log(sys.float_info.min, d), math.log(sys.float_info.max, d)
        limits = f"from {low:.4f} to {high:.4f} at d = {d:g} (d^gamma_sigma2 a normal float64)"
        return key, f"must be {limits}, found {show_some(extreme)}"
    width = max((*known.get("width", ()), *(power(d, x) for x in known.get("gamma_w", ()))), default=1)
    huge = [x for x, variance in variances.items() if not is_normal(variance * width)]
    text = f"must keep sigma2 * width finite at the largest width, {width:.3g}, found {show_some(huge)}"
    return (key, text) if huge and width <= MAX_WIDTH else None
