"""The MSE task: fit Y = A* + E, a low-rank signal under noise (docs/theory.md, "Setting")."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from pydantic import AfterValidator, Field, model_validator

from linphase.errors import LinphaseError
from linphase.model import arrays
from linphase.model.network import Weights
from linphase.model.section import Content, Section, Younger
from linphase.model.streams import stream
from linphase.model.threads import one_blas_thread


class TaskConfig(Section):
    """The target Y = A* + E: A* of the given rank and E of the given noise are (output_dimension, dimension).

    Of a target of one's own dimension, output_dimension and noise are what is found in it, and are not hashed: they
    follow from the arrays and the rank (`own_task`).
    """

    dimension: int = Field(
        default=64,
        ge=2,
        le=20_000,
        title="d_in: the columns of the signal A* and the noise E",
        description="an integer from 2 to 20000",
    )
    rank: int = Field(
        default=4,
        ge=0,  # of a target of one's own, where none is given
        le=20_000,
        title="k: the rank of A*",
        description="an integer of at least 1 (and at most the smaller dimension)",
    )
    noise: Annotated[float, Field(ge=0, le=1e9), AfterValidator(abs)] = Field(  # abs: -0.0 must hash like 0.0
        default=1.0,
        title="standard deviation of E's entries; 0 is allowed",
        description="a finite number of at least 0 and at most 1e9",
    )
    signal_norm: float | None = Field(
        default=None,
        ge=1e-18,
        le=1e18,
        title="A* is rescaled so that ||A*||_F^2/(d_out d_in) is this; where it is not given A* stays as drawn",
        description="a finite number above 0, 1e-18 to 1e18",
    )
    output_dimension: Annotated[int | None, Younger] = Field(
        default=None,
        ge=1,
        le=20_000,
        title="d_out: the rows of A* and E; where it is not given as many as columns, d",
        description="an integer from 1 to 20000",
    )
    target: Annotated[str | None, Younger, Content] = Field(
        default=None,
        pattern=arrays.DIGEST,
        title="a target of your own: the file of Y (d_out, d_in), relative to the configuration; in results its digest",
        description='a file of numpy, such as "Y.npy"',
    )
    signal: Annotated[str | None, Younger, Content] = Field(
        default=None,
        pattern=arrays.DIGEST,
        title="the file of its signal A* (d_out, d_in); without one there are no test errors",
        description='a file of numpy, such as "A.npy"',
    )

    @model_validator(mode="after")
    def _rank_fits(self) -> Self:
        if self.rank == 0 and self.target is None:
            raise ValueError(f"rank must be {type(self).model_fields['rank'].description}, found 0")
        if self.rank > min(self.shape):
            raise ValueError(f"rank must be at most the dimension {min(self.shape)}, found {self.rank}")
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """(d_out, d_in)."""
        return self.output_dimension or self.dimension, self.dimension

    @property
    def scale(self) -> float:
        """Exponents are to the base d = sqrt(d_out d_in)."""
        return math.sqrt(math.prod(self.shape))

    @property
    def isotropic(self) -> bool:
        """Whether signal and noise are drawn alike in all directions, as the closed forms of boundaries have it."""
        return self.target is None

    def used(self) -> dict[str, Any]:
        values = super().used()
        if self.target is not None:
            return {key: values[key] for key in ("target", "signal", "rank") if key in values}
        if values.get("output_dimension") == self.dimension:  # as where it is not given
            del values["output_dimension"]
        return values


Array = NDArray[np.floating]

_ROUNDING = 4 * float(np.finfo(np.float64).eps)  # of the largest singular value, times the dimension


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """A target Y (d_out, d_in) to be fitted and, where it is known, the signal A* of rank k behind it.

    Train error is ||A - Y||_F^2/(d_out d_in), test error ||A - A*||_F^2/(d_out d_in). Without a signal there is no test
    error; with rank 0 no modes are told to be the signal's, and there are no regimes.
    """

    signal: Array | None
    target: Array
    rank: int
    noise_level: float | None = None  # standard deviation of E's entries where it is known

    @classmethod
    def from_target(cls, target: ArrayLike, signal: ArrayLike | None = None, rank: int | None = None) -> "Task":
        """A target Y (d_out, d_in) of your own, with the signal A* behind it or without.

        Parameters
        ----------
        target, signal
            Matrices of one shape. Without a signal test errors are None.
        rank
            k, how many modes are the signal's; by default that of the signal, to rounding. Without either there are no
            regimes.

        Raises
        ------
        LinphaseError
            Which names the argument that is no finite matrix of numbers, or does not fit.
        """
        Y = _matrix("target", target)
        A = None if signal is None else _matrix("signal", signal)
        if rank is None:
            rank = 0 if A is None else int(np.linalg.matrix_rank(A))
        elif rank == 0:
            raise LinphaseError("task: rank must be at least 1, or not given, found 0")
        return cls(A, Y, rank)

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", _matrix("target", self.target))
        if self.signal is not None:
            object.__setattr__(self, "signal", _matrix("signal", self.signal))
            assert self.signal is not None
            if self.signal.shape != self.target.shape:
                raise LinphaseError(
                    f"task: signal and target must be matrices of one shape (d_out, d_in), "
                    f"found {self.signal.shape} and {self.target.shape}"
                )
        if isinstance(self.rank, bool) or not isinstance(self.rank, int | np.integer):
            raise LinphaseError(f"task: rank must be an integer, found {self.rank!r}")
        if not 0 <= self.rank <= min(self.shape):
            raise LinphaseError(
                f"task: rank must be from 1 to the smaller dimension, {min(self.shape)}, found {self.rank}"
            )

    def __repr__(self) -> str:
        d_out, d_in = self.shape
        rank = f", rank {self.rank}" if self.rank else ""
        return f"Task({d_out} x {d_in}{rank}, noise {self.noise:.4g})"

    @cached_property
    def noise(self) -> float:
        """nu, the standard deviation of the entries of E = Y - A*: as drawn, or what Y has beside the signal.

        Without a signal nu^2 is the mean square of what the values of Y beyond the rank leave, and 0 without a rank.
        0 where it is not above rounding: then the bulk has nothing to learn.
        """
        if self.noise_level is not None:
            return self.noise_level
        if self.signal is not None:
            return float(np.sqrt(np.mean((self.target - self.signal) ** 2)))
        if self.rank == 0:
            return 0.0
        _, S, _ = self.solution_svd
        bulk = S[self.rank :]
        above = bulk.size and bulk[0] > _ROUNDING * max(self.shape) * S[0]
        return float(np.sqrt(np.sum(bulk**2) / self.size)) if above else 0.0

    @property
    def error_scale(self) -> float:
        """nu^2, what the excess of a converged run's train error is relative to; ||Y||^2/(d_out d_in) without noise."""
        return self.noise**2 if self.noise > 0 else self.signal_strength

    @property
    def shape(self) -> tuple[int, int]:
        """(d_out, d_in)."""
        d_out, d_in = self.target.shape
        return d_out, d_in

    @property
    def scale(self) -> float:
        """Exponents are to the base d = sqrt(d_in d_out)."""
        d_out, d_in = self.shape
        return float(np.sqrt(d_out * d_in))

    @property
    def size(self) -> float:
        """N = d_out d_in, what squares are divided by to be errors."""
        return self.target.size

    @property
    def solution(self) -> Array:
        """The map of least train error, (d_out, d_in): Y itself."""
        return self.target

    @cached_property
    def solution_svd(self) -> tuple[Array, Array, Array]:
        """U (d_out, n), S (n,), V (d_in, n) with U diag(S) V^T = Y, the solution; n = min(d_out, d_in)."""
        with one_blas_thread():  # with two, other bits from d = 400 on
            U, S, Vt = np.linalg.svd(self.solution, full_matrices=False)
        return U, S, np.ascontiguousarray(Vt.T)

    @cached_property
    def signal_svd(self) -> tuple[Array, Array, Array]:
        """U* (d_out, k), S* (k,), V* (d_in, k) with A* = U* diag(S*) V*^T."""
        with one_blas_thread():
            U, S, Vt = np.linalg.svd(self.known_signal, full_matrices=False)
        k = self.rank
        return U[:, :k], S[:k], np.ascontiguousarray(Vt[:k].T)

    @property
    def known_signal(self) -> Array:
        """A*; LinphaseError where the task has none."""
        if self.signal is None:
            raise LinphaseError("task: a signal is required, found none")
        return self.signal

    @property
    def signal_op_norm(self) -> float:
        """||A*||_op."""
        return float(self.signal_svd[1][0])

    @property
    def signal_strength(self) -> float:
        """||A*||_F^2/(d_out d_in), the test error of A = 0; without a signal the train error of A = 0."""
        return float(np.sum((self.target if self.signal is None else self.signal) ** 2)) / self.size

    def gradient(self, W2: Array, W1: Array) -> tuple[Array, Array]:
        """The gradient of the loss ||W2 W1 - Y||_F^2/2 by W2, G W1^T, and by W1, W2^T G, with G = W2 W1 - Y.

        W2 (d_out, width), W1 (width, d_in): a step of descent is W2 - eta G W1^T, W1 - eta W2^T G.
        """
        G = self.loss_gradient(self.residual(W2 @ W1))
        return G @ W1.T, W2.T @ G

    def residual(self, A: Array) -> Array:
        """A - Y, (d_out, d_in)."""
        return A - self.target

    def loss_gradient(self, residual: Array) -> Array:
        """G, the gradient of the loss by A, (d_out, d_in): the residual itself."""
        return residual

    @property
    def origin(self) -> Array:
        """What makes A of `from_origin`, (d_out, d_in): A = origin + from_origin."""
        return self.target

    def from_origin(self, residual: Array, weights: Weights) -> Array:
        """What is known of A at a state without a product of its weights: the residual A - Y."""
        return residual

    def train_error(self, residual: Array) -> float:
        """||A - Y||_F^2/(d_out d_in)."""
        flat = residual.reshape(-1)
        return float(np.dot(flat, flat)) / self.size

    @property
    def has_test_error(self) -> bool:
        """Whether there is something that test errors are measured against."""
        return self.signal is not None

    def deviations(self, dtype: DTypeLike) -> Callable[[Array, Weights], Array] | None:
        """What gives A - A* of a state, its residual and weights, in one array of its own; None without a signal."""
        if self.signal is None:
            return None
        noise = (self.target - self.signal).astype(dtype)
        out = np.empty_like(noise)

        def deviation(residual: Array, weights: Weights) -> Array:
            np.add(residual, noise, out=out)  # A - A* = G + E
            return out

        return deviation

    def deviation_slope(self, weights: Weights, residual: Array) -> Array:
        """Its derivative by time under gradient flow: dA/dt."""
        return weights.velocity(residual)

    def test_error(self, deviation: Array) -> float:
        """||A - A*||_F^2/(d_out d_in)."""
        flat = deviation.reshape(-1)
        return float(np.dot(flat, flat)) / self.size

    def at_minimum(self, deviation: Array, A: Callable[[], Array], out: Array) -> None:
        """Write A where the deviation is this into `out` (d_out, d_in); `A` computes it from the weights."""
        np.add(deviation, self.known_signal, out=out)

    def train_error_floor(self, width: int) -> float:
        """Train error of the best matrix of rank <= width: sum of s_i(Y)^2 over i > width, over d_out d_in."""
        _, S, _ = self.solution_svd
        return float(np.sum(S[width:] ** 2)) / self.size


def _matrix(name: str, given: object) -> Array:
    """A finite matrix of floating-point numbers; integers and lists of lists are taken for one.

    Raises LinphaseError, which names the argument, for anything else.
    """
    try:
        matrix = np.asarray(given)
        if matrix.dtype.kind in "iub":
            matrix = matrix.astype(np.float64)
    except ValueError:  # rows of different lengths
        matrix = np.empty(0, dtype=object)
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or matrix.size == 0:
        what = (
            f"an array of shape {matrix.shape} and type {matrix.dtype}"
            if isinstance(given, np.ndarray)
            else repr(given)
        )
        raise LinphaseError(f"task: {name} must be a matrix (d_out, d_in) of numbers, found {what:.200}")
    if not np.isfinite(matrix).all():
        raise LinphaseError(f"task: {name} must be finite, found NaN or infinity")
    return matrix


def draw_task(config: TaskConfig | None = None, *, seed: int = 0, replicate: int = 0, **keys: Any) -> Task:
    """Draw A* = U V^T and Y = A* + E, of a configuration or of its keys: draw_task(dimension=30, rank=2).

    U (d_out, k), V (d_in, k) have independent N(0, k^(-1/2)) entries, E (d_out, d_in) independent N(0, noise^2) ones.
    U and V are drawn column by column, so a smaller rank takes the leading columns of the same U and V; noise scales
    the same E. With signal_norm given, A* is rescaled to ||A*||_F^2/(d_out d_in) = signal_norm.
    """
    if config is not None and keys:
        raise LinphaseError(f"draw_task: a TaskConfig or keys of one are required, found both: {', '.join(keys)}")
    config = TaskConfig(**keys) if config is None else config
    if config.target is not None:
        signal = None if config.signal is None else arrays.find(config.signal)
        return Task(signal, arrays.find(config.target), config.rank)
    (d_out, d_in), k = config.shape, config.rank
    U = stream(seed, replicate, "U").standard_normal((k, d_out)).T * k**-0.25
    V = stream(seed, replicate, "V").standard_normal((k, d_in)).T * k**-0.25
    E = stream(seed, replicate, "E").standard_normal((d_out, d_in))
    signal = U @ V.T
    if config.signal_norm is not None:
        signal *= config.scale * np.sqrt(config.signal_norm) / np.linalg.norm(signal)
    return Task(signal=signal, target=signal + config.noise * E, rank=k, noise_level=config.noise)
