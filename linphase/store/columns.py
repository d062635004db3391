"""Every stored column, declared once: its name, Arrow type, unit and meaning.

The runs table holds one row of scalars a run; the trajectories table its lists over time and over modes. Columns of
configuration keys, regimes and observables follow from the declarations of those. `key` names the configuration key
that a column repeats, so that an axis of the grid finds its column.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from linphase.errors import LinphaseError
from linphase.model.moment import LISTS, OBSERVABLES, Observable
from linphase.model.network import Start
from linphase.model.regime import CRITERIA, REGIMES, THRESHOLD
from linphase.model.registry import Registry
from linphase.runs.records import STATUSES
from linphase.runs.spec import FAMILIES, SECTIONS

SCHEMA_VERSION = 2
# A key's column is its last part and, where that means something else already, SECTION_KEY; but for these.
_NAMES = {
    "dynamics.learning_rate": "learning_rate_rule",
    "record.sharpness": "record_sharpness",
    "stop.rule": "stop_rule",
    "stop.time": "stop_time",
    "stop.excess_error": "stop_train_error",
}
# Every row that was ever written has a value here, and readers count on it.
_REQUIRED = frozenset(
    (
        *("run_id", "gamma_sigma2", "gamma_w", "init_variance", "width", "threshold", "replicate"),
        *("dimension", "rank", "noise", "seed", "status", "converged", "numerics_version"),
    )
)
# What every value of these is within, ends included; nan is within nothing.
_FINITE = sys.float_info.max
_BOUNDS = {
    **dict.fromkeys(("gamma_sigma2", "gamma_w"), (-_FINITE, _FINITE)),
    **dict.fromkeys(("init_variance", "noise"), (0, _FINITE)),
    **dict.fromkeys(("width", "dimension", "numerics_version"), (1, inf)),
    **dict.fromkeys(("threshold", "rank", "replicate", "seed"), (0, inf)),  # a product of two large numbers may be inf
    "elapsed_s": (0, 1e12),
}
_TRACED = frozenset(
    (
        *("run_id", "recorded_modes", "time", "step", "train_error", "test_error", "distance", "singular_values"),
        *("mode_balance", "final_singular_values", "final_mode_balance", "final_speed_up", "target_singular_values"),
        *("crossing_times", "escape_times", "convergence_times"),
    )
)
# The column that tells how many moments were kept (n) and modes over time (r), how many modes there are (m), and how
# many of them are the signal's (k).
LENGTHS = {"n": "time", "r": "recorded_modes", "m": "final_singular_values", "k": "crossing_times"}
_FINISHED = tuple(name for name in STATUSES if name != "failed")  # what a row of the runs table can have as status
_NOT_STORED = ("record.singular_values", "run.max_time")


@dataclass(frozen=True)
class Column:
    name: str
    type: str  # the Arrow type: string, bool, int32, int64, float64, or list<...>
    unit: str
    meaning: str
    key: str | None = None
    panel: str = ""  # the panel that shows it, as the file tells whoever reads it without the declaration
    title: str = ""
    formula: str = ""
    scale: str = ""
    colors: str = ""
    required: bool = False  # whether every row that linphase writes has a value
    words: tuple[str, ...] = ()  # the values that it can have; any where there are none
    bounds: tuple[float, float] | None = None  # the least and the most that it can be, where it has a value
    along: str = ""  # of a list: the `LENGTHS` whose product is its length
    optional: bool = False  # of a list: whether it may be empty, as in a run that did not measure it


_START = {
    "gamma_sigma2": ("float64", "", "log of init_variance to base d"),
    "gamma_w": ("float64", "", "log of the width to base d, before truncation"),
    "init_variance": ("float64", "", "sigma2, variance of every entry of W1 and W2"),
    "width": ("int64", "neurons", "hidden width, int(d^gamma_w), at least 1"),
}


def runs_columns() -> tuple[Column, ...]:
    """The columns of the runs table, in their order.

    Raises LinphaseError where two declarations claim one column.
    """
    return _runs_columns(Registry.revision)


@lru_cache(maxsize=8)
def _runs_columns(revision: int) -> tuple[Column, ...]:
    columns = [
        Column("run_id", "string", "", "hash of everything that decides the run's numbers"),
        *(Column(name, *_START[name], f"grid.{name}") for name in Start.model_fields),
        Column("threshold", "float64", "singular value", "c = sigma2 * width: modes above it are active"),
        Column("replicate", "int32", "", "number of the independent draw of task and start", "grid.replicates"),
        *_key_columns("run", "seed"),
        *_key_columns("run", "independent_dimensions"),
        *_key_columns("task"),
        *_key_columns("dynamics"),
        Column("learning_rate", "float64", "time/step", "the learning rate used; null where there is none"),
        Column("plugin", "string", "", "digest of the file that declared the dynamics; null: linphase's own"),
        *_key_columns("init"),
        *_key_columns("stop"),
        *_key_columns("record"),
        *_key_columns("run", "precision"),
        Column(
            "status",
            "string",
            "",
            "converged, stopped_early, finished, step_limit, diverged or failed",
            words=_FINISHED,
        ),
        Column("converged", "bool", "", "status is converged"),
        *(
            Column(
                each.column("regime"),
                "string",
                "",
                f"lazy, mixed or balanced, by {each.plain}; null: there is none",
                words=REGIMES,
            )
            for each in CRITERIA.values()
        ),
        Column("evidence_agreement", "float64", "share", "modes on which all criteria of active agree"),
        *(column for criterion in CRITERIA.values() for column in _order_parameters(criterion)),
        *(
            Column(each.column("active_modes"), "int32", "", f"modes with {each.plain} at the end")
            for each in CRITERIA.values()
        ),
        Column("largest_train_error", "float64", "", "largest train error of the run; above the first: a catapult"),
        Column("min_test_error", "float64", "", "smallest test error of the run"),
        Column("time_at_min", "float64", "time", "when the test error was smallest"),
        Column("step_at_min", "int64", "steps", "gd: first step of the smallest test error; null under flow"),
        Column("iterations_at_min", "float64", "steps", "time_at_min over the paper's learning rate"),
        Column(
            "benefit",
            "float64",
            "",
            "(min_test_error - optimal_test_error)/(lazy_test_error - optimal_test_error); 0: optimal, 1: lazy",
        ),
        Column("optimal_test_error", "float64", "", "of the task: optimal shrinkage of Y, the noise known"),
        Column("lazy_test_error", "float64", "", "of the task: smallest test error as c goes to infinity"),
        Column("balanced_test_error", "float64", "", "of the task: smallest test error as c goes to 0, from A = 0"),
        Column("zero_test_error", "float64", "", "of the task: ||A*||_F^2/d^2, the test error of A = 0"),
        Column(
            "blind_test_error",
            "float64",
            "",
            "test error where the train error first is noise^2 (1 - k/d)^2, a stop that does not see A*; null: never",
        ),
        Column("distance_to_self_consistent", "float64", "", "largest ||A - A_sc||_F^2/d^2 to what `compare` names"),
        *(_observed(one, at) for one in OBSERVABLES.values() for at in one.at if at not in LISTS),
        Column(
            "crossing_time",
            "float64",
            "time",
            "median over the signal modes: s_i passes c for good; 0: always above; null: half of them or more never",
        ),
        Column(
            "escape_time",
            "float64",
            "time",
            "median over the signal modes: s_i passes half of s_i(Y), less the weight decay, for good; null: half of "
            "them or more never",
        ),
        Column(
            "convergence_time",
            "float64",
            "time",
            "median over the signal modes: s_i is within 5 % of s_i(Y), less the weight decay, for good; null: half of "
            "them or more never",
        ),
        Column(
            "bulk_convergence_time",
            "float64",
            "time",
            "median over the bulk: s_i is within 5 % of s_i(Y) for good; null: half of them or more never, or not kept",
        ),
        Column(
            "learning_order",
            "float64",
            "",
            "bulk_convergence_time over convergence_time: 1 where all modes rise together, large: the signal first",
        ),
        Column("final_train_error", "float64", "", "||A - Y||_F^2/d^2 at the last measurement"),
        Column("final_test_error", "float64", "", "||A - A*||_F^2/d^2 at the last measurement"),
        Column(
            "mean_train_error",
            "float64",
            "",
            "mean train error over the last half of a run that ends at a given time, over the steps of gd; else null",
        ),
        Column("mean_test_error", "float64", "", "the same for the test error"),
        Column(
            "train_error_floor",
            "float64",
            "",
            "train error of the loss's minimum: sum of s_i(Y)^2 over i > width, over d^2, and with weight decay l of "
            "min(s_i(Y), l)^2 over the others; null: not known",
        ),
        Column(
            "error_scale",
            "float64",
            "",
            "nu^2, what the excess of a converged run's train error is relative to: noise^2, or the train error of "
            "A = 0 where there is none",
        ),
        Column("irreducible", "float64", "", "of data: rho^2/N, what no linear map fits, left out of train errors"),
        Column("test_irreducible", "float64", "", "of data: the same of the held-out samples, left out of test errors"),
        Column("final_step", "int64", "steps", "updates made when the stop rule fired; flow: accepted steps"),
        Column("final_time", "float64", "time", "time of the last measurement"),
        Column("gradient_evaluations", "int64", "", "residuals A - Y and their products with the weights computed"),
        Column("elapsed_s", "float64", "s", "wall time of the run, one BLAS thread"),
        Column("observables", "string", "", "the observables that were measured; what was declared later is null"),
        Column("numerics_version", "int32", "", "raised when linphase's numbers change"),
        Column("linphase_version", "string", "", "version of linphase that trained the run"),
        Column("python_version", "string", "", "version of Python"),
        Column("numpy_version", "string", "", "version of numpy"),
        Column("scipy_version", "string", "", "version of scipy"),
        Column("blas", "string", "", "BLAS library, version and kernel"),
        Column("cpu", "string", "", "CPU model"),
    ]
    told = (replace(one, required=one.name in _REQUIRED, bounds=_BOUNDS.get(one.name)) for one in columns)
    return _distinct(_apart(list(told)))


def trajectories_columns() -> tuple[Column, ...]:
    """The columns of the trajectories table, in their order."""
    return _trajectories_columns(Registry.revision)


@lru_cache(maxsize=8)
def _trajectories_columns(revision: int) -> tuple[Column, ...]:
    columns = [
        Column("run_id", "string", "", "as in the runs table"),
        Column("recorded_modes", "int32", "", "r: modes kept over time; 2-d lists are (len(time), r), row-major"),
        Column("time", "list<float64>", "time", "moments kept"),
        Column("step", "list<int64>", "steps", "updates made by then; accepted steps under flow", along="n"),
        Column("train_error", "list<float32>", "", "||A - Y||_F^2/d^2", along="n"),
        Column("test_error", "list<float32>", "", "||A - A*||_F^2/d^2", along="n"),
        Column(
            "distance",
            "list<float32>",
            "",
            "||A - A_sc||_F^2/d^2 over time; empty where nothing is compared",
            along="n",
            optional=True,
        ),
        Column("singular_values", "list<float32>", "", "s_i(A) over time, descending; 2-d", along="nr"),
        Column(
            "mean_singular_values",
            "list<float32>",
            "",
            "means of s_i(A) over time, in the last half of a run that ends at a given time; else empty",
            along="r",
            optional=True,
        ),
        Column(
            "mode_balance",
            "list<float32>",
            "",
            "2 s_i/(u_i^T C2 u_i + v_i^T C1 v_i), NaN: not measured; 2-d",
            along="nr",
        ),
        Column("final_singular_values", "list<float32>", "", "s_i(A) of every mode at the end"),
        Column("final_mode_balance", "list<float32>", "", "mode balance of every mode at the end", along="m"),
        Column("final_speed_up", "list<float32>", "", "mode speed-up kappa_i of every mode at the end", along="m"),
        Column("target_singular_values", "list<float32>", "", "s_i(Y) of every mode", along="m"),
        Column(
            "crossing_times",
            "list<float32>",
            "time",
            "of each signal mode: s_i passes c for good; 0: always above; nan: never",
        ),
        Column(
            "escape_times",
            "list<float32>",
            "time",
            "of each signal mode: s_i passes half of s_i(Y) for good; nan: never",
            along="k",
        ),
        Column(
            "convergence_times",
            "list<float32>",
            "time",
            "of each signal mode: last time s_i is off s_i(Y) by over 5 %; nan: still is",
            along="k",
        ),
        *(_observed(one, at) for one in OBSERVABLES.values() for at in one.at if at in LISTS),
        Column("observables", "string", "", "as in the runs table"),
    ]
    return _distinct([replace(one, required=one.name in _TRACED) for one in columns])


def failures_columns() -> tuple[Column, ...]:
    """The columns of the failures table: where the run stands, and what went wrong."""
    return (
        *(column for column in runs_columns() if column.key is not None or column.name in ("run_id", "threshold")),
        Column("error", "string", "", "what went wrong, one line"),
        Column("traceback", "string", "", "where, if Python could tell"),
        Column("linphase_version", "string", "", "version of linphase that tried the run"),
    )


def for_keys() -> dict[str, tuple[str, str]]:
    """The configuration keys that columns of the runs table repeat, and their types, by column."""
    return {column.name: (column.key, column.type) for column in runs_columns() if column.key is not None}


def _key_columns(section: str, only: str = "") -> list[Column]:
    """A column for each key of a section; of a family those of every member, after the selector's."""
    if section in FAMILIES:
        family = FAMILIES[section]
        users: dict[str, list[str]] = {}
        for name, member in family.members.items():
            for key in member.model_fields:
                users.setdefault(key, []).append(name)
        names = ", ".join(family.members)
        columns = [_key_column(section, family.selector, "string", f"what the run was made by: {names}")]
        for key, kinds in users.items():
            field = family.members[kinds[0]].model_fields[key]
            columns.append(_key_column(section, key, _type(field), f"{', '.join(kinds)}: {field.title}"))
        return columns
    fields = SECTIONS[section].model_fields
    return [
        _key_column(section, key, _type(field), str(field.title))
        for key, field in fields.items()
        if f"{section}.{key}" not in _NOT_STORED and only in ("", key)
    ]


def _key_column(section: str, key: str, type_: str, meaning: str) -> Column:
    dotted = f"{section}.{key}"
    return Column(_NAMES.get(dotted, key), type_, "", meaning, dotted)


def _type(field: FieldInfo) -> str:
    """The Arrow type of a key's values: a number or, where a key takes several types, text."""
    given = field.annotation
    kinds = {
        get_args(each)[0] if get_origin(each) is Annotated else each
        for each in (get_args(given) if get_origin(given) in (Union, UnionType) else (given,))
    } - {type(None)}
    if kinds == {int}:
        bounds = [getattr(each, "le", None) for each in field.metadata]
        return "int32" if any(bound is not None and bound <= 10**6 for bound in bounds) else "int64"
    return {float: "float64", bool: "bool"}.get(next(iter(kinds)), "string") if len(kinds) == 1 else "string"


def _order_parameters(criterion: Any) -> tuple[Column, Column]:
    if criterion is THRESHOLD:
        told = (
            f"the k leading modes with {criterion.plain} at the end",
            f"the other min(d, width) - k modes with {criterion.plain}; null: no bulk",
        )
    else:
        told = (f"signal_active with {criterion.plain}", f"bulk_active with {criterion.plain}")
    names = (criterion.column(name) for name in ("signal_active", "bulk_active"))
    first, second = (Column(name, "float64", "share", text) for name, text in zip(names, told, strict=True))
    return first, second


def _observed(one: Observable, at: Any) -> Column:
    number = "int32" if one.is_integer else "float64"
    if at in LISTS:
        return Column(one.column(at), "list<float32>", one.unit, one.told(at), along=LISTS[at], optional=True)
    return Column(one.column(at), number, one.unit, one.told(at))


def _apart(columns: Sequence[Column]) -> list[Column]:
    """The key of a dynamics or a stop rule makes way for a column of linphase's own, or of an earlier section."""
    own = {column.name for column in columns if _family(column) is None}
    first: dict[str, str] = {}  # the family to whose key a name went
    found = []
    for column in columns:
        family = _family(column)
        if family and (column.name in own or first.setdefault(column.name, family) != family):
            column = replace(column, name=f"{family}_{column.name}")
        found.append(column)
    return found


def _family(column: Column) -> str | None:
    """The section of a column that repeats a key of a family, to which plugins may add keys."""
    section = (column.key or "").partition(".")[0]
    return section if section in FAMILIES else None


def _distinct(columns: Sequence[Column]) -> tuple[Column, ...]:
    seen: dict[str, Column] = {}
    for column in columns:
        if column.name in seen:
            first, second = (each.key or each.meaning for each in (seen[column.name], column))
            raise LinphaseError(
                f"column {column.name}: one declaration is required, found two: {first}; and {second}. Rename one"
            )
        seen[column.name] = column
    return tuple(columns)
