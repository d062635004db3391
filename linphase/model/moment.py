"""A network at one moment, and how a number that is measured of it is declared.

An observable is a pure function of a `Moment`. Its decorator says what it means and when it is measured; from that
follow the stored column, the panel, its place in theory's prediction, the report and the documentation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from linphase.errors import LinphaseError
from linphase.model.hessian import Hessian, network_of
from linphase.model.kernel import Kernel
from linphase.model.network import Weights
from linphase.model.registry import Registry, place_of
from linphase.model.task import Task

Array = NDArray[np.floating]
Gram = tuple[Array, Array]  # C1 (d_in, d_in) and C2 (d_out, d_out)
SVD = tuple[Array, Array, Array]  # U (d_out, n), s (n,) descending, V (d_in, n) of A


@dataclass(frozen=True, eq=False)
class Moment:
    """A network at one time, trained or predicted: what an observable may look at, always in the user's basis.

    The gram matrices C1 = W1^T W1 and C2 = W2 W2^T follow from the weights; where there are none (theory moves A
    alone) they are given, or None (between the steps of a flow only A is known). What costs something is computed when
    it is first asked for.
    """

    task: Task
    given: Array | Callable[[], Array]  # A (d_out, d_in), or what makes it
    c: float  # the threshold, sigma2 * width
    rank: int  # the largest rank that A can have
    weights: Weights | None = None
    gram: Gram | Callable[[], Gram] | None = None  # C1 and C2 where there are no weights, or what makes them
    start: "Moment | None" = None  # the same network at time 0
    forgetting: float = 1.0  # e^(-2 l t): what weight decay has left of D = W1 W1^T - W2^T W2
    factors: SVD | None = None  # the SVD of A, where it is known already
    known_errors: tuple[float, float] | None = None  # the train and the test error (nan: none), the same
    decays: tuple[float, float] = (0.0, 0.0)  # of W1 and W2
    has_hessian: bool = False  # whether the Hessian may be looked at: where `record.sharpness` asks for it

    @cached_property
    def A(self) -> Array:
        """W2 W1, (d_out, d_in)."""
        return self.given() if callable(self.given) else self.given

    @property
    def errors(self) -> tuple[float, float]:
        """The train and the test error; nan where there is no test error."""
        return self.known_errors or self.task.errors(self.A)

    @cached_property
    def svd(self) -> SVD:
        """U (d_out, n), s (n,), V (d_in, n) with A = U diag(s) V^T, n = min(d_out, d_in)."""
        if self.factors is not None:
            return self.factors
        U, s, Vt = np.linalg.svd(self.A, full_matrices=False)
        return U, s, Vt.T

    @cached_property
    def singular_values(self) -> Array:
        """s (n,) of A alone, descending: in half of the time of the SVD where that is not known."""
        known = self.factors is not None or "svd" in vars(self)
        return self.svd[1] if known else np.asarray(np.linalg.svd(self.A, compute_uv=False))

    @cached_property
    def kernel(self) -> Kernel | None:
        """The tangent kernel G -> C2 G + G C1, in float64; None where C1 and C2 are not known."""
        given = self.gram if self.weights is None else self.weights.gram
        gram = given() if callable(given) else given
        return None if gram is None else Kernel(*(each.astype(np.float64) for each in gram))

    @cached_property
    def hessian(self) -> Hessian | None:
        """The Hessian of the loss, in float64; None where it is not asked for, or C1 and C2 are not known."""
        if not self.has_hessian or self.kernel is None:
            return None
        weights = self.weights or network_of(self.A, self.kernel.C1, self.kernel.C2)
        G = self.task.loss_gradient(self.task.residual(self.A))
        return Hessian(self.task, weights.astype(np.float64), G, self.decays)

    @cached_property
    def conserved(self) -> Array | None:
        """D = W1 W1^T - W2^T W2, (width, width), which gradient flow conserves; None where weights are not known."""
        if self.weights is None:
            return None
        W1, W2 = self.weights.W1, self.weights.W2
        return np.asarray(W1 @ W1.T - W2.T @ W2)

    @property
    def signal(self) -> SVD | None:
        """The SVD of A*, U* (d_out, k), S* (k,) and V* (d_in, k); None where the task has none."""
        return self.task.signal_svd if self.task.signal is not None and self.task.rank else None

    @property
    def C1(self) -> Array | None:
        """W1^T W1, (d_in, d_in)."""
        return None if self.kernel is None else self.kernel.C1

    @property
    def C2(self) -> Array | None:
        """W2 W2^T, (d_out, d_out)."""
        return None if self.kernel is None else self.kernel.C2


Measure = Callable[[Moment], float | int | None]
At = Literal["end", "minimum", "largest", "crossing", "snapshots"]
# How the column of an observable is called, and what its meaning says of the moment. Lists are in the trajectories
# table, by what they are along: one value a signal mode (k), or one a kept moment (n).
_COLUMNS: dict[str, tuple[str, str]] = {
    "end": ("{}", "{} at the end"),
    "minimum": ("{}_at_min", "{} at time_at_min"),
    "largest": ("largest_{}", "largest {} over the moments kept"),
    "crossing": ("{}_at_crossing", "of each signal mode: {} where s_i passes c for good; nan: never"),
    "snapshots": ("{}", "{} over time"),
}
LISTS = {"crossing": "k", "snapshots": "n"}
_NEEDS = ("weights", "kernel", "hessian", "start", "signal")
# The units that tell of a clock, and by which power of its slowness a value changes.
_OF_CLOCK = {"time": 1, "1/time": -1}


@dataclass(frozen=True)
class Observable:
    """A number measured of a network: the function, what it means, and when it is stored."""

    measure: Measure
    meaning: str
    unit: str
    at: tuple[At, ...]
    needs: tuple[str, ...]  # fields of the Moment without which it has no value, some of `_NEEDS`
    panel: str  # the name of its panel
    title: str
    formula: str  # mathtext

    @property
    def name(self) -> str:
        return self.measure.__name__

    @property
    def is_integer(self) -> bool:
        """Whether its values are counts, by the function's return annotation."""
        given = get_type_hints(self.measure).get("return", float)
        kinds = set(get_args(given)) if get_origin(given) in (Union, UnionType) else {given}
        return kinds - {type(None)} == {int}

    @cached_property
    def is_followed(self) -> bool:
        """Whether it is measured at every moment kept."""
        return not {"largest", *LISTS}.isdisjoint(self.at)

    def column(self, at: At) -> str:
        """The name of its column; in the runs table, for `LISTS` in the trajectories table."""
        return _COLUMNS[at][0].format(self.name)

    def told(self, at: At) -> str:
        """What the column means."""
        return _COLUMNS[at][1].format(self.meaning)

    def of(self, moment: Moment) -> float | int | None:
        """Its value; None where the moment lacks what it needs."""
        if any(getattr(moment, need) is None for need in self.needs):
            return None
        value = self.measure(moment)
        if value is not None and not isinstance(value, Real):
            raise LinphaseError(f"observable {self.name!r}: a number or None is required, found {value!r:.60}")
        return value


OBSERVABLES: Registry[Observable] = Registry("observable")


def on_slower_clock(values: Mapping[str, Any], slowness: float) -> dict[str, Any]:
    """Values of observables, by column, where times are `slowness` times as long."""
    powers = {one.column(at): _OF_CLOCK.get(one.unit, 0) for one in OBSERVABLES.values() for at in one.at}
    return {
        name: value if value is None or powers[name] == 0 else value * slowness ** powers[name]
        for name, value in values.items()
    }


def observable(
    meaning: str,
    *,
    panel: str,
    title: str,
    at: At | tuple[At, ...] = "end",
    formula: str = "",
    unit: str = "",
    needs: str | tuple[str, ...] = (),
) -> Callable[[Measure], Measure]:
    """Declare a function of a `Moment` as an observable; it stays the function that it is.

    Parameters
    ----------
    meaning
        What the number is, without the moment: "singular values of A above s_1/5".
    panel, title
        The name of its panel (the first of `at` bears it) and the panel's title; `formula` is the title's second
        line, in mathtext.
    at
        When it is stored, one moment or several: at the "end", at the smallest test error ("minimum"), its "largest"
        value over the moments kept, a list with one value a signal mode at its "crossing" of c, or a list over all
        "snapshots".
    unit
        Its unit, empty for a plain number. One in "time" or "1/time" follows the clock of `init.richness`.
    needs
        What the moment must have: "weights", "kernel", "hessian", "start" or "signal". The value is null where it is
        missing, as weights are in theory, a Hessian where `record.sharpness` is false, and all three at the smallest
        test error, where only A is known.

    Raises
    ------
    LinphaseError
        If another observable has the name, or `at` or `needs` are not as above.

    Examples
    --------
    >>> @observable("||A||_F", at="end", panel="norm", title="norm of A")
    ... def norm(moment: Moment) -> float:
    ...     return float(np.linalg.norm(moment.A))
    """

    def declare(measure: Measure) -> Measure:
        moments, required = ((each,) if isinstance(each, str) else tuple(each) for each in (at, needs))
        one = Observable(measure, meaning, unit, moments, required, panel, title, formula)  # type: ignore[arg-type]
        place = place_of(measure)
        _check(one, place)
        OBSERVABLES.declare(one.name, one, place)
        return measure

    return declare


def _check(one: Observable, place: str) -> None:
    for what, given, known in (("at", one.at, tuple(_COLUMNS)), ("needs", one.needs, _NEEDS)):
        if strange := [each for each in given if each not in known]:
            raise LinphaseError(
                f"observable {one.name}: {what} must be some of {', '.join(known)}, found {strange[0]!r} ({place})"
            )
    if not one.at:
        raise LinphaseError(f"observable {one.name}: at must name one moment at least, found none ({place})")


def measured(moment: Moment, at: At) -> dict[str, Any]:
    """Every observable of this moment, by its column."""
    return {one.column(at): one.of(moment) for one in OBSERVABLES.values() if at in one.at}


def columns_at(at: At) -> tuple[str, ...]:
    """The columns of the observables that are measured then."""
    return tuple(one.column(at) for one in OBSERVABLES.values() if at in one.at)
