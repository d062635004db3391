"""What must hold between the keys of a configuration, in every combination of the values they take in a sweep."""

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from linphase.config.keys import Problems, show, show_some
from linphase.model.network import MAX_WIDTH, is_normal, power
from linphase.runs.spec import SELECTORS


def check_cells(known: Mapping[str, tuple[Any, ...]], axes: Iterable[str], problems: Problems) -> None:
    """Note every axis that its section does not use, and every combination of values that cannot be run.

    known: the values each key takes in the sweep, without the keys that are wrong in themselves.
    """
    for key in axes:
        section, _, name = key.partition(".")
        if section not in SELECTORS:
            continue
        selector, keys_of = SELECTORS[section]
        idle = [choice for choice in known.get(selector, ()) if name not in keys_of[choice]]
        if idle:
            text = f"must not be an axis with {selector} = {show(idle[0])}, which does not use it"
            found = show(known.get(key, ()))
            problems.add(("grid", key), f"{text} (the same runs would be repeated), found {found}")
    conflicts = [
        _rank_conflict(known),
        _rule_conflict(known),
        _compare_conflict(known),
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
    others = [kind for kind in known.get("dynamics.kind", ()) if kind != "gd"]
    if others and "paper" in known.get("stop.rule", ()):
        return (
            "stop.rule",
            f'must be "converged" with dynamics.kind = {show(others[0])}, found "paper", a rule for "gd"',
        )
    return None


def _compare_conflict(known: Mapping[str, tuple[Any, ...]]) -> tuple[str, str] | None:
    compare = known.get("record.compare", ("none",))[0]
    unfit = {
        "self_consistent_euler": [kind for kind in known.get("dynamics.kind", ()) if kind != "gd"],
        "self_consistent": [kind for kind in known.get("dynamics.kind", ()) if kind == "modes"],
    }.get(compare)
    if unfit:
        return "record.compare", f'must be "none" with dynamics.kind = {show(unfit[0])}, found {show(compare)}'
    return None


def _width_conflict(known: Mapping[str, tuple[Any, ...]]) -> tuple[str, str] | None:
    # d^x is furthest from 1 at the largest d: all cells hold where those of the largest d do.
    d = max(known.get("task.dimension", ()), default=2)
    wide = [x for x in known.get("gamma_w", ()) if not power(d, x) <= MAX_WIDTH]
    limit = f"{math.log(MAX_WIDTH, d):.4f} at d = {d} (a width of 2^53)"
    return ("gamma_w", f"must be at most {limit}, found {show_some(wide)}") if wide else None


def _variance_conflict(known: Mapping[str, tuple[Any, ...]]) -> tuple[str, str] | None:
    d = max(known.get("task.dimension", ()), default=2)
    key = "gamma_sigma2" if "gamma_sigma2" in known else "init_variance"
    variances = {x: power(d, x) if key == "gamma_sigma2" else x for x in known.get(key, ())}
    if extreme := [x for x, variance in variances.items() if not is_normal(variance)]:
        low, high = math.log(sys.float_info.min, d), math.log(sys.float_info.max, d)
        limits = f"from {low:.4f} to {high:.4f} at d = {d} (d^gamma_sigma2 a normal float64)"
        return key, f"must be {limits}, found {show_some(extreme)}"
    width = max((*known.get("width", ()), *(power(d, x) for x in known.get("gamma_w", ()))), default=1)
    huge = [x for x, variance in variances.items() if not is_normal(variance * width)]
    text = f"must keep sigma2 * width finite at the largest width, {width:.3g}, found {show_some(huge)}"
    return (key, text) if huge and width <= MAX_WIDTH else None
