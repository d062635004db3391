"""The two-layer linear network A = W2 W1: Gaussian starts of any width at the cost of width 2 d.

The reduction of the width is exact: every update of W1 and W2^T lies in the column span of the start
X0 = [W1 | W2^T], (width, d_in + d_out). With the thin QR X0 = Q R, the network of width m = d_in + d_out whose
[W1 | W2^T] is R has the same A = W2 W1, C1 = W1^T W1 and C2 = W2 W2^T, at the start and for ever (docs/theory.md,
"Exact width reduction").
"""

import math
import sys
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from pydantic import Field

from linphase.errors import ConfigError, LinphaseError, check_argument
from linphase.model.section import Section
from linphase.model.streams import stream

MAX_WIDTH = 2**53  # the last integer up to which every width is exact in float64


class Start(Section):
    """The keys of the grid that say where a run starts. A normal float is one that keeps its full precision."""

    gamma_sigma2: float = Field(title="the init variance is d^gamma_sigma2", description="a finite number")
    init_variance: float = Field(
        ge=sys.float_info.min,
        title="variance of every entry of W1 and W2 at the start",
        description="a finite number above 0 (a normal float64)",
    )
    gamma_w: float = Field(
        ge=0, title="the width is int(d^gamma_w), at least 1", description="a finite number of at least 0"
    )
    width: int = Field(ge=1, le=MAX_WIDTH, title="hidden neurons", description="an integer from 1 to 2^53")


@dataclass(frozen=True)
class Initialization:
    """Where a run starts: entries of W1 and W2 are N(0, init_variance), the network has the given width.

    init_variance = d^gamma_sigma2 and width = int(d^gamma_w), at least 1 (docs/theory.md, "Setting"). Layers of unequal
    variances or rates e1, e2 and an output W2 W1/gamma are another start and another clock: that of the network at
    equal rates and gamma = 1 (docs/theory.md, "Knobs of the start").
    """

    gamma_sigma2: float
    gamma_w: float
    init_variance: float  # sigma1 sigma2, of the layers' variances sigma1^2 (W1) and sigma2^2 (W2)
    width: int
    variance_ratio: float = 1.0  # r = sigma2^2/sigma1^2
    rate_ratio: float = 1.0  # p = e1/e2, at e1 e2 = 1
    richness: float = 1.0  # gamma
    balance: float | None = None  # lambda of W2^T W2 - W1 W1^T = lambda I; None: Gaussian layers
    seed: int = 0  # root of the run's random numbers
    replicate: int = 0

    def __post_init__(self) -> None:
        if self.balance is not None and self.rate_ratio != 1:
            raise LinphaseError(
                "lambda-balanced layers: dynamics.learning_rate_ratio = 1 is required, as layers of unequal rates do "
                f"not conserve W2^T W2 - W1 W1^T, found {self.rate_ratio:g}. Leave it out, or choose another init.kind"
            )

    @property
    def threshold(self) -> float:
        """c: singular values above it are active.

        c = sigma2 * width cosh(ln(r p)/2)/gamma, half the mean rate of a mode at the start; |lambda|/(2 gamma) of a
        lambda-balanced one.
        """
        if self.balance is not None:
            return abs(self.balance) / 2 / self.richness
        return self.init_variance * self.width * self.threshold_factor

    @property
    def threshold_factor(self) -> float:
        """c/(sigma2 * width) of Gaussian layers: cosh(ln(r p)/2)/gamma."""
        return math.cosh(math.log(self.variance_ratio * self.rate_ratio) / 2) / self.richness

    @property
    def layer_variances(self) -> tuple[float, float]:
        """The variances of W1 and W2 at equal rates and gamma = 1: sigma2/(gamma sqrt(r p)), sigma2 sqrt(r p)/gamma."""
        root = math.sqrt(self.variance_ratio * self.rate_ratio)
        return self.init_variance / self.richness / root, self.init_variance / self.richness * root

    @property
    def layer_sizes(self) -> tuple[float, float]:
        """a and b of C1 = a I and C2 = b I at the start of a wide network, (a + b)/2 = c, at equal rates and gamma = 1.

        The layers' variances times the width; of a lambda-balanced start 0 and 2 c, or 2 c and 0 where lambda < 0.
        """
        if self.balance is not None:
            return (0.0, 2 * self.threshold) if self.balance >= 0 else (2 * self.threshold, 0.0)
        first, second = self.layer_variances
        return first * self.width, second * self.width

    def has_closed_form(self, shape: tuple[int, int]) -> bool:
        """Whether equation (1) with c = threshold has theory's closed form from A = 0 (`is_self_consistent`)."""
        return bool(is_self_consistent(np.nan if self.balance is None else self.balance, self.width, shape))

    def require_closed_form(self, shape: tuple[int, int]) -> None:
        """Raise LinphaseError where it has none."""
        if not self.has_closed_form(shape):
            d_out, d_in = shape
            raise LinphaseError(
                f"theory from A = 0 has a closed form for lambda > 0 at a width of at least d_out = {d_out}, and for "
                f"lambda < 0 of at least d_in = {d_in}, found lambda = {self.balance:g} at width {self.width}. Leave "
                'such cells out; a sweep with dynamics.kind = "self_consistent" is theory from each run\'s own start'
            )

    def decays(self, weight_decay: float) -> tuple[float, float]:
        """The decay of W1 and of W2 at equal rates and gamma = 1: l gamma sqrt(p), l gamma/sqrt(p)."""
        root = math.sqrt(self.rate_ratio)
        return weight_decay * self.richness * root, weight_decay * self.richness / root

    def stream(self, purpose: str) -> np.random.Generator:
        """The run's random numbers of one purpose, which depend on its width as those of its start do."""
        return stream(self.seed, self.replicate, purpose, self.width)

    @classmethod
    def at(
        cls,
        dimension: float,
        *,
        gamma_sigma2: float | None = None,
        init_variance: float | None = None,
        gamma_w: float | None = None,
        width: int | None = None,
        **knobs: Any,
    ) -> Self:
        """The start for one variance key and one width key; the logarithm to base d gives the others.

        knobs: the further fields, by name.
        """
        given = {
            "dimension": dimension,
            "gamma_sigma2": gamma_sigma2,
            "init_variance": init_variance,
            "gamma_w": gamma_w,
            "width": width,
        }
        for name, value in given.items():
            if value is not None or name == "dimension":
                check_argument(name, value, Real, "a number")
        if (gamma_sigma2 is None) == (init_variance is None):
            raise ConfigError("exactly one of gamma_sigma2 and init_variance is required")
        if (gamma_w is None) == (width is None):
            raise ConfigError("exactly one of gamma_w and width is required")
        if init_variance is None:
            assert gamma_sigma2 is not None
            init_variance = power(dimension, gamma_sigma2)
            if not is_normal(init_variance):
                raise ConfigError(
                    f"gamma_sigma2 = {gamma_sigma2} gives the variance {init_variance}, no normal float64"
                )
        elif not is_normal(init_variance):
            raise ConfigError(f"init_variance must be {_required('init_variance')}, found {init_variance}")
        if width is None:
            assert gamma_w is not None
            exact = power(dimension, gamma_w)
            if not exact <= MAX_WIDTH:
                raise ConfigError(f"gamma_w = {gamma_w} gives the width {exact:.3g}, more than 2^53")
            width = max(1, int(exact))
        elif not 1 <= width <= MAX_WIDTH:
            raise ConfigError(f"width must be {_required('width')}, found {width}")
        log_d = math.log(dimension)
        start = cls(
            gamma_sigma2=math.log(init_variance) / log_d if gamma_sigma2 is None else gamma_sigma2,
            gamma_w=math.log(width) / log_d if gamma_w is None else gamma_w,
            init_variance=init_variance,
            width=width,
            **knobs,
        )
        if knobs and not all(is_normal(each) for each in (*start.layer_variances, start.init_variance * width)):
            raise ConfigError(
                f"variances of the layers must be normal float64 numbers, found {start.layer_variances} at a ratio of "
                f"{start.variance_ratio * start.rate_ratio:.3g} and a richness of {start.richness:.3g}"
            )
        return start


def _required(key: str) -> str | None:
    return Start.model_fields[key].description


def power(dimension: float, exponent: float) -> float:
    """d^gamma, infinity where that is beyond float64."""
    try:
        return math.pow(dimension, exponent)
    except OverflowError:
        return math.inf


def is_normal(value: float) -> bool:
    """Whether a variance is a float64 above 0 of full precision."""
    return sys.float_info.min <= value <= sys.float_info.max


Array = NDArray[np.floating]


def is_self_consistent(balance: ArrayLike, width: ArrayLike, shape: tuple[ArrayLike, ArrayLike]) -> NDArray[np.bool_]:
    """Whether starts of these lambda and width, (d_out, d_in) = shape, follow equation (1) from A = 0 too.

    Those of lambda > 0 do if they are as wide as the output, those of lambda < 0 as wide as the input. lambda = 0 never
    leaves A = 0. nan: Gaussian starts, for which the equation is taken at every width (docs/theory.md,
    "Lambda-balanced starts").
    """
    (d_out, d_in), balance, width = shape, np.asarray(balance, np.float64), np.asarray(width)
    return np.asarray(np.isnan(balance) | ((balance > 0) & (width >= d_out)) | ((balance < 0) & (width >= d_in)))


@dataclass(frozen=True, eq=False, repr=False)
class Weights:
    """W1 (width, d_in) and W2 (d_out, width), and the cell of the phase diagram that they were drawn from, if any."""

    W1: Array
    W2: Array
    initialization: Initialization | None = None  # its width is that before any reduction

    def __post_init__(self) -> None:
        for name in ("W1", "W2"):
            check_argument(name, getattr(self, name), np.ndarray, "a numpy array")
        if self.W1.ndim != 2 or self.W2.ndim != 2 or self.W1.shape[0] != self.W2.shape[1]:
            raise LinphaseError(
                "weights: W1 must be (width, d_in) and W2 (d_out, width) with the same width, "
                f"found W1 {self.W1.shape} and W2 {self.W2.shape}"
            )

    def __repr__(self) -> str:
        return f"Weights(W1 {self.W1.shape}, W2 {self.W2.shape}, {self.W1.dtype})"

    @property
    def width(self) -> int:
        return int(self.W1.shape[0])

    def product(self) -> Array:
        """A = W2 W1, (d_out, d_in)."""
        return self.W2 @ self.W1

    def gram(self) -> tuple[Array, Array]:
        """C1 = W1^T W1 (d_in, d_in) and C2 = W2 W2^T (d_out, d_out)."""
        return self.W1.T @ self.W1, self.W2 @ self.W2.T

    def velocity(self, G: Array, decay: float = 0.0) -> Array:
        """dA/dt = -(C2 G + G C1) - decay A under gradient flow with residual G, (d_out, d_in).

        decay: l1 + l2, the weight decays of both layers. No gram matrix is formed.
        """
        velocity: Array = -(self.W2 @ (self.W2.T @ G) + (G @ self.W1.T) @ self.W1)
        return velocity - decay * self.product() if decay else velocity

    def astype(self, dtype: DTypeLike) -> "Weights":
        """A contiguous copy in another precision."""
        W1, W2 = (np.array(layer, dtype=dtype, order="C") for layer in (self.W1, self.W2))
        return Weights(W1, W2, self.initialization)


def reduce_width(weights: Weights) -> Weights:
    """The network of width at most d_in + d_out with the same A, C1 and C2 at all times."""
    check_argument("weights", weights, Weights, "a linphase.Weights")
    d_in, d_out = weights.W1.shape[1], weights.W2.shape[0]
    if weights.width <= d_in + d_out:
        return weights
    R: Array = np.asarray(np.linalg.qr(np.hstack([weights.W1, weights.W2.T]), mode="r"))
    return Weights(np.ascontiguousarray(R[:, :d_in]), np.ascontiguousarray(R[:, d_in:].T), weights.initialization)


def gaussian_start(
    initialization: Initialization, shape: tuple[int, int], *, seed: int = 0, replicate: int = 0
) -> Weights:
    """Draw W1 and W2 with independent Gaussian entries, reduced to width min(width, d_in + d_out).

    Of variance sigma2, or those of `Initialization.layer_variances` (docs/theory.md, "Knobs of the start").

    From width d_in + d_out on, R of the thin QR is drawn itself (Bartlett's decomposition): upper triangular with
    R_ii = sigma sqrt(chi2 with width - i degrees of freedom), R_ij = sigma N(0, 1) for i < j. So a width of 10^12
    costs what 2 d costs. shape is (d_out, d_in).
    """
    check_argument("initialization", initialization, Initialization, "a linphase.Initialization")
    if not (isinstance(shape, tuple | list) and len(shape) == 2 and all(isinstance(d, Integral) for d in shape)):
        raise LinphaseError(f"shape: (d_out, d_in) is required, as task.shape is, found {shape!r:.60}")
    d_out, d_in = shape
    width, (first_variance, second_variance) = initialization.width, initialization.layer_variances
    m = min(width, d_in + d_out)
    first = stream(seed, replicate, "W1", width)
    second = stream(seed, replicate, "W2", width)
    X0 = np.hstack([first.standard_normal((m, d_in)), second.standard_normal((m, d_out))])
    if width >= d_in + d_out:
        # As a float: integer degrees of freedom from 2^63 on raise.
        freedom = float(width) - np.arange(m)
        chi2 = np.concatenate([first.chisquare(freedom[:d_in]), second.chisquare(freedom[d_in:])])
        X0 = np.triu(X0, 1) + np.diag(np.sqrt(chi2))
    X0[:, :d_in] *= np.sqrt(first_variance)
    X0[:, d_in:] *= np.sqrt(second_variance)
    drawn = replace(initialization, seed=seed, replicate=replicate)
    return Weights(np.ascontiguousarray(X0[:, :d_in]), np.ascontiguousarray(X0[:, d_in:].T), drawn)


def balanced_start(
    initialization: Initialization, shape: tuple[int, int], *, seed: int = 0, replicate: int = 0
) -> Weights:
    """The lambda-balanced network whose A = W2 W1 is that of the ordinary Gaussian start, (d_out, d_in) = shape.

    Of width min(width, d_out | d_in | both) for lambda > 0, < 0 and = 0: no wider network has W2^T W2 - W1 W1^T =
    lambda I, and the Gaussian A has no larger rank (docs/theory.md, "Lambda-balanced starts").
    """
    if initialization.balance is None:
        raise LinphaseError("a lambda-balanced start: a lambda is required, found an initialization without a balance")
    gaussian = gaussian_start(initialization, shape, seed=seed, replicate=replicate)
    balance = initialization.balance / initialization.richness  # of the network at richness 1
    drawn = balanced_weights(gaussian.product(), balance, initialization.width)
    return replace(drawn, initialization=gaussian.initialization)


def balanced_weights(A: Array, balance: float, width: int) -> Weights:
    """The network of W2 W1 = A (d_out, d_in) with W2^T W2 - W1 W1^T = lambda I, of at most the given width.

    With A = U diag(s) V^T and lambda >= 0, W2 = U diag(w), W1 = diag(s/w) V^T, w^2 = lambda/2 + sqrt(s^2 + lambda^2/4):
    no difference is taken, so nothing cancels. lambda < 0 is the mirror image, that of A^T. Source: docs/theory.md,
    "It is the flow of a 2c-balanced network".
    """
    if balance < 0:
        mirrored = balanced_weights(A.T, -balance, width)
        return Weights(np.ascontiguousarray(mirrored.W2.T), np.ascontiguousarray(mirrored.W1.T))
    d_out, d_in = A.shape
    m = min(width, d_out if balance > 0 else min(A.shape))
    n = min(m, d_in)
    U, values, Vt = np.linalg.svd(A, full_matrices=True)
    s = np.zeros(m)
    s[:n] = values[:n]
    w = np.sqrt(balance / 2 + np.hypot(s, balance / 2))
    W1 = np.zeros((m, d_in))
    W1[:n] = np.divide(s, w, out=np.zeros(m), where=w > 0)[:n, None] * Vt[:n]
    return Weights(W1, np.ascontiguousarray(U[:, :m] * w))


def estimated_initialization(weights: Weights) -> Initialization:
    """The cell of the phase diagram that given weights stand in.

    c is half of their mean mode rate, (tr C1/d_in + tr C2/d_out)/2, and sigma2 is c/width: the mean of the two layers'
    mean squares.
    """
    d_in, d_out = weights.W1.shape[1], weights.W2.shape[0]
    variance = sum(float(np.mean(np.square(layer, dtype=np.float64))) for layer in (weights.W1, weights.W2)) / 2
    if d_in * d_out == 1:
        raise LinphaseError("weights: a task of dimension 1 has no exponents; give train the initialization")
    if not 0 < variance < np.inf:
        raise LinphaseError(
            f"weights: a start must be finite and not all zero (a saddle that no dynamics leaves), found a mean square "
            f"of {variance}"
        )
    return Initialization.at(np.sqrt(d_in * d_out), init_variance=variance, width=weights.width)
