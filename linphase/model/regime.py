"""The regime of a run: lazy, mixed or balanced, from the share of its modes that are active.

A criterion says which modes are active: those whose singular value lies above the threshold c = sigma2 * width (the
paper's), or those that one of two other criteria names. The two order parameters are the share of active modes among
the k leading ones (the signal) and among the others that the network can hold (the bulk); two cuts on them make the
regime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from linphase.errors import LinphaseError

if TYPE_CHECKING:  # the command line reads the criteria's names, and must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from linphase.model.observables import Modes

AGREED = 0.8  # where the criteria agree on a smaller share of modes, a regime hangs on which one is asked
_TINY = 1e-30  # a number in single precision, too

REGIMES = ("lazy", "mixed", "balanced")


@dataclass(frozen=True)
class Criterion:
    """One way to tell which modes are active; in theory all of them are s_i > c."""

    name: str
    title: str  # what it looks at
    definition: str  # when a mode is active, as mathtext
    plain: str  # the same without mathematics' signs
    # What stands for s_i/c, of the modes at the end and the threshold c: the mode is active where it is above 1.
    ratio: Callable[[Modes, Any], NDArray[np.floating]]

    def active(self, modes: Modes, c: float) -> NDArray[np.bool_]:
        """Whether each mode is active."""
        return self.ratio(modes, c) > 1

    def column(self, name: str) -> str:
        """The runs column of a regime or order parameter by this criterion."""
        return name if self is THRESHOLD else f"{name}_by_{self.name}"


THRESHOLD = Criterion(
    "threshold",
    "threshold",
    r"$s_i > c$",
    "s_i > c",
    lambda modes, c: modes.singular_value / (c + _TINY * (c == 0)),  # a perfectly balanced start has c = 0
)
BALANCE = Criterion(
    "balance",
    "mode balance",
    r"$b_i > 1/\sqrt{2}$",
    "mode balance > 1/sqrt(2)",
    lambda modes, c: modes.balance / ((1 - modes.balance) * (1 + modes.balance)).clip(_TINY) ** 0.5,
)


def _of_speed_up(modes: Modes, c: Any) -> NDArray[np.floating]:
    """sqrt(kappa^2 - 1), in theory s/c; below 1/2 its tangent over log kappa, as narrow networks may have kappa < 1."""
    joint = 1.25**0.5
    upper: NDArray[np.floating] = (modes.speed_up.clip(joint) ** 2 - 1) ** 0.5
    ratio: NDArray[np.floating] = upper * (modes.speed_up.clip(0, joint) / joint) ** 5
    return ratio


SPEEDUP = Criterion(
    "speedup",
    "mode speed-up",
    r"$\kappa_i > \sqrt{2}$",
    "mode speed-up > sqrt(2)",
    _of_speed_up,
)
CRITERIA = {criterion.name: criterion for criterion in (THRESHOLD, BALANCE, SPEEDUP)}


@dataclass(frozen=True)
class Cuts:
    """What turns order parameters into a regime: the criterion of active, and where the two shares are cut.

    Raises LinphaseError for an unknown criterion, and for a share that is none.
    """

    criterion: str = THRESHOLD.name
    signal: float = 0.5
    bulk: float = 0.5

    def __post_init__(self) -> None:
        if self.criterion not in CRITERIA:
            raise LinphaseError(f"criterion: must be one of {', '.join(CRITERIA)}, found {self.criterion!r}")
        for name, share in (("signal", self.signal), ("bulk", self.bulk)):
            if isinstance(share, bool) or not (isinstance(share, Real) and 0 <= float(share) <= 1):
                raise LinphaseError(f"{name}_cut: must be a share from 0 to 1, found {share!r}")

    def column(self, name: str) -> str:
        """The runs column of a regime or order parameter by the criterion."""
        return CRITERIA[self.criterion].column(name)

    def unusual(self) -> dict[str, Any]:
        """What differs from the defaults, by name."""
        usual = Cuts()
        return {name: value for name, value in vars(self).items() if value != getattr(usual, name)}


@dataclass(frozen=True)
class OrderParameters:
    """Share of active modes in the signal and in the bulk.

    Signal modes that the width cannot hold count as inactive. bulk_active is None where the network holds no mode
    beyond the signal (width <= rank).
    """

    signal_active: float
    bulk_active: float | None

    @classmethod
    def of(cls, active: NDArray[np.bool_], rank: int) -> OrderParameters:
        """From whether each mode is active, (modes,) with i = 0 .. min(d_in, d_out, width) - 1."""
        signal, bulk = active[:rank], active[rank:]
        return cls(float(signal.sum()) / rank, float(bulk.mean()) if bulk.size else None)


def agreement(active: Sequence[NDArray[np.bool_]]) -> float:
    """Share of modes on which all criteria agree, from whether each mode is active by each of them."""
    first, *others = active
    agree = ~(first ^ first)
    for other in others:
        agree &= first == other
    return float(agree.mean())


def classify(
    signal_active: float | None,
    bulk_active: float | None,
    *,
    width: int,
    rank: int,
    noise: float,
    cuts: Cuts = Cuts(),
) -> str | None:
    """Regime of one run from its two order parameters.

    lazy: signal_active < cuts.signal. balanced: not lazy and bulk_active >= cuts.bulk. mixed: between, that is the
    signal is active and the bulk lazy. Two limits: with width = rank there is no bulk, and active means balanced;
    with noise = 0 the bulk has nothing to learn, and active means mixed. None where the run has no regime: it was
    not finished (signal_active is None) or it is underparameterized (width < rank).
    """
    if signal_active is None or width < rank:
        return None
    if signal_active < cuts.signal:
        return "lazy"
    if noise == 0:
        return "mixed"
    if bulk_active is None or bulk_active >= cuts.bulk:
        return "balanced"
    return "mixed"


def majority(regimes: Sequence[str]) -> tuple[str, ...]:
    """The outcome most replicates share; several where they tie, in the order of their first appearance."""
    counts = {regime: regimes.count(regime) for regime in dict.fromkeys(regimes)}
    most = max(counts.values())
    return tuple(regime for regime, count in counts.items() if count == most)


@dataclass(frozen=True)
class Classification:
    """What the modes at the end of a run say of it, by each criterion; nothing where the run diverged."""

    order_parameters: dict[str, OrderParameters]  # by the names of CRITERIA; none without a signal
    regimes: dict[str, str | None]
    active: dict[str, int]  # how many modes are active, by the same names
    agreement: float | None  # share of modes on which all criteria agree

    @classmethod
    def of(cls, modes: Modes, c: float, *, width: int, rank: int, noise: float) -> Classification:
        """Of the modes at the end, with the threshold c; with rank 0 no modes are the signal's, and no regime is."""
        active = {name: criterion.active(modes, c) for name, criterion in CRITERIA.items()}
        shares = {name: OrderParameters.of(each, rank) for name, each in active.items()} if rank else {}
        regimes: dict[str, str | None] = dict.fromkeys(CRITERIA)
        regimes |= {
            name: classify(share.signal_active, share.bulk_active, width=width, rank=rank, noise=noise)
            for name, share in shares.items()
        }
        counts = {name: int(each.sum()) for name, each in active.items()}
        return cls(shares, regimes, counts, agreement(list(active.values())))

    @classmethod
    def none(cls) -> Classification:
        """The run diverged, so nothing is known at its end."""
        return cls({}, dict.fromkeys(CRITERIA), {}, None)
