"""The MSE task: fit Y = A* + E, a low-rank signal under noise (docs/theory.md, "Setting")."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from linphase.errors import LinphaseError
from linphase.model.section import Section, Younger
from linphase.model.streams import stream
from linphase.model.threads import one_blas_thread


class TaskConfig(Section):
    """The target Y = A* + E: A* of the given rank and E of the given noise are (output_dimension, dimension)."""

    dimension: int = Field(
        default=64,
        ge=2,
        le=20_000,
        title="d_in: the columns of the signal A* and the noise E",
        description="an integer from 2 to 20000",
    )
    rank: int = Field(
        default=4,
        ge=1,
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

    @model_validator(mode="after")
    def _rank_fits(self) -> Self:
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

    def used(self) -> dict[str, Any]:
        values = super().used()
        if values.get("output_dimension") == self.dimension:  # as where it is not given
            del values["output_dimension"]
        return values


Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """A signal A* (d_out, d_in) of rank k and the target Y = A* + E to be fitted.

    Train error is ||A - Y||_F^2/(d_out d_in), test error ||A - A*||_F^2/(d_out d_in).
    """

    signal: Array
    target: Array
    rank: int
    noise_level: float | None = None  # standard deviation of E's entries where it is known

    def __post_init__(self) -> None:
        for name in ("signal", "target"):
            object.__setattr__(self, name, _matrix(name, getattr(self, name)))
        if self.signal.shape != self.target.shape:
            raise LinphaseError(
                f"task: signal and target must be matrices of one shape (d_out, d_in), "
                f"found {self.signal.shape} and {self.target.shape}"
            )
        if isinstance(self.rank, bool) or not isinstance(self.rank, int | np.integer):
            raise LinphaseError(f"task: rank must be an integer, found {self.rank!r}")
        if not 1 <= self.rank <= min(self.signal.shape):
            raise LinphaseError(
                f"task: rank must be from 1 to the smaller dimension, {min(self.signal.shape)}, found {self.rank}"
            )

    def __repr__(self) -> str:
        d_out, d_in = self.shape
        return f"Task({d_out} x {d_in}, rank {self.rank}, noise {self.noise:.4g})"

    @cached_property
    def noise(self) -> float:
        """Standard deviation of the entries of E = Y - A*: as drawn, or estimated where it is not known."""
        if self.noise_level is not None:
            return self.noise_level
        return float(np.sqrt(np.mean((self.target - self.signal) ** 2)))

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

    @cached_property
    def target_svd(self) -> tuple[Array, Array, Array]:
        """U (d_out, n), S (n,), V (d_in, n) with Y = U diag(S) V^T, n = min(d_out, d_in)."""
        with one_blas_thread():  # with two, other bits from d = 400 on
            U, S, Vt = np.linalg.svd(self.target, full_matrices=False)
        return U, S, np.ascontiguousarray(Vt.T)

    @cached_property
    def signal_svd(self) -> tuple[Array, Array, Array]:
        """U* (d_out, k), S* (k,), V* (d_in, k) with A* = U* diag(S*) V*^T."""
        with one_blas_thread():
            U, S, Vt = np.linalg.svd(self.signal, full_matrices=False)
        k = self.rank
        return U[:, :k], S[:k], np.ascontiguousarray(Vt[:k].T)

    @property
    def signal_op_norm(self) -> float:
        """||A*||_op."""
        return float(self.signal_svd[1][0])

    @cached_property
    def signal_strength(self) -> float:
        """||A*||_F^2/(d_out d_in), the test error of A = 0."""
        return float(np.sum(self.signal**2)) / self.signal.size

    def gradient(self, W2: Array, W1: Array) -> tuple[Array, Array]:
        """The gradient of the loss ||W2 W1 - Y||_F^2/2 by W2, G W1^T, and by W1, W2^T G, with G = W2 W1 - Y.

        W2 (d_out, width), W1 (width, d_in): a step of descent is W2 - eta G W1^T, W1 - eta W2^T G.
        """
        G = W2 @ W1 - self.target
        return G @ W1.T, W2.T @ G

    def train_error_floor(self, width: int) -> float:
        """Train error of the best matrix of rank <= width: sum of s_i(Y)^2 over i > width, over d_out d_in."""
        _, S, _ = self.target_svd
        return float(np.sum(S[width:] ** 2)) / self.target.size


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
    (d_out, d_in), k = config.shape, config.rank
    U = stream(seed, replicate, "U").standard_normal((k, d_out)).T * k**-0.25
    V = stream(seed, replicate, "V").standard_normal((k, d_in)).T * k**-0.25
    E = stream(seed, replicate, "E").standard_normal((d_out, d_in))
    signal = U @ V.T
    if config.signal_norm is not None:
        signal *= config.scale * np.sqrt(config.signal_norm) / np.linalg.norm(signal)
    return Task(signal=signal, target=signal + config.noise * E, rank=k, noise_level=config.noise)
