"""The MSE task: what is fitted, and what errors are measured against (docs/theory.md, "Setting" and "Data")."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from linphase.errors import LinphaseError
from linphase.model.network import Weights
from linphase.model.threads import one_blas_thread

Array = NDArray[np.floating]

_NOTHING = 1e-12  # of the largest singular value of inputs: below it a direction is not in the data
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

    white: ClassVar[bool] = True  # the inputs' covariance is the identity

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
        for name, matrix in (("target", Y), ("signal", A)):
            if matrix is not None and not matrix.any():
                raise LinphaseError(f"task: {name} must be other than 0, found only zeros")
            if matrix is not None:
                _check_size(name, matrix)
        if rank is None:
            return cls(A, Y, 0 if A is None else int(np.linalg.matrix_rank(A)))
        return cls(A, Y, _rank(rank))

    @classmethod
    def from_data(
        cls,
        inputs: ArrayLike,
        outputs: ArrayLike,
        test_inputs: ArrayLike | None = None,
        test_outputs: ArrayLike | None = None,
        *,
        rank: int | None = None,
        center: bool = False,
        whiten: bool = False,
    ) -> "Regression":
        """Data of your own: outputs (n, d_out) to be fitted by a linear map of inputs (n, d_in), sample by sample.

        Parameters
        ----------
        inputs, outputs
            As many rows each; of a row more than n features only their triangular factor is kept (`of_samples`).
        test_inputs, test_outputs
            Held-out samples, which test errors are measured on; None without.
        rank, center, whiten
            As of `of_samples`.

        Raises
        ------
        LinphaseError
            Which names the argument that is no finite matrix of numbers, or does not fit.
        """
        for name, option in (("center", center), ("whiten", whiten)):
            if not isinstance(option, bool | np.bool_):
                raise LinphaseError(f"task: {name} must be True or False, found {option!r}")
        X, Y = _pair(inputs, outputs, "inputs", "outputs")
        if (test_inputs is None) != (test_outputs is None):
            raise LinphaseError("task: test_inputs and test_outputs must be given together, found one of them")
        test = None if test_inputs is None else [_pair(test_inputs, test_outputs, "test_inputs", "test_outputs")]
        if test is not None and (test[0][0].shape[1], test[0][1].shape[1]) != (X.shape[1], Y.shape[1]):
            raise LinphaseError(
                f"task: test_inputs and test_outputs must have {X.shape[1]} and {Y.shape[1]} columns, found "
                f"{test[0][0].shape[1]} and {test[0][1].shape[1]}"
            )
        return of_samples([(X, Y)], test, rank=rank, center=center, whiten=whiten)

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
        _check_rank(self.rank, self.shape)

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
        return float(np.sqrt(np.sum(bulk**2) / math.prod(self.shape))) if above else 0.0

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
    def input_size(self) -> float:
        """||Sigma||_op, the largest eigenvalue of the inputs' covariance: 1."""
        return 1.0

    @property
    def size(self) -> float:
        """N = d_out d_in, what squares are divided by to be errors."""
        return self.target.size

    @property
    def modes(self) -> int:
        """How many modes there are to learn: min(d_out, d_in)."""
        return min(self.shape)

    @property
    def solution(self) -> Array:
        """The map of least train error, (d_out, d_in): Y itself."""
        return self.target

    @cached_property
    def solution_svd(self) -> tuple[Array, Array, Array]:
        """U (d_out, n), S (n,), V (d_in, n) with U diag(S) V^T = Y, the solution; n = `modes`."""
        with one_blas_thread():  # with two, other bits from d = 400 on
            U, S, Vt = np.linalg.svd(self.solution, full_matrices=False)
        n = self.modes
        return U[:, :n], S[:n], np.ascontiguousarray(Vt[:n].T)

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
    def population(self) -> "Task":
        """The task that fresh samples are of, y = A* x + noise, without the noise: its target is A*.

        LinphaseError where the inputs are samples themselves, or A* is not known.
        """
        return Task(self.known_signal, self.known_signal, self.rank, 0.0)

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
        if W2.shape[-1:] != W1.shape[:1] or (W2.shape[0], W1.shape[-1]) != self.shape:
            raise LinphaseError(
                f"task: W2 (d_out, width) and W1 (width, d_in) of the task's shape {self.shape} are required, found "
                f"{W2.shape} and {W1.shape}"
            )
        G = self.loss_gradient(self.residual(W2 @ W1))
        return G @ W1.T, W2.T @ G

    def residual(self, A: Array) -> Array:
        """A - Y, (d_out, d_in)."""
        return A - self.target

    def loss_gradient(self, residual: Array) -> Array:
        """G, the gradient of the loss by A, (d_out, d_in): the residual itself."""
        return residual

    def covariance_product(self, Z: Array) -> Array:
        """Z Sigma, (d_out, d_in), the change of G when A changes by Z: Z itself."""
        return Z

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

    def errors(self, A: Array) -> tuple[float, float]:
        """Train and test error of a map A; nan where there is nothing to measure a test error against."""
        test_error = np.nan if self.signal is None else self.test_error(A - self.signal)
        return self.train_error(self.residual(A)), test_error

    @property
    def irreducible_errors(self) -> tuple[float | None, float | None]:
        """The train and the test error that no linear map does without and that are left out; None: there are none."""
        return None, None

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

    def deviation_slope(self, weights: Weights, residual: Array, decay: float) -> Array:
        """Its derivative by time under gradient flow: dA/dt; decay: of A, the sum of those of both layers."""
        return weights.velocity(residual, decay)

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


def _check_size(name: str, array: Array) -> None:
    """Refuse an array whose squares leave the range of float64."""
    largest = float(np.abs(array).max(initial=0.0))
    if largest and not 1e-140 < largest < 1e140:
        raise LinphaseError(f"task: {name} must have a largest entry from 1e-140 to 1e140, found {largest:.3g}")


def _check_rank(rank: object, shape: tuple[int, int]) -> None:
    if isinstance(rank, bool) or not isinstance(rank, int | np.integer):
        raise LinphaseError(f"task: rank must be an integer, found {rank!r}")
    if not 0 <= rank <= min(shape):
        raise LinphaseError(f"task: rank must be from 1 to the smaller dimension, {min(shape)}, found {rank}")


def _rank(given: int) -> int:
    """A rank that a user gave: 0 means something only where none is given."""
    if given == 0 and not isinstance(given, bool):
        raise LinphaseError("task: rank must be at least 1, or not given, found 0")
    return given


def _pair(inputs: object, outputs: object, first: str, second: str) -> tuple[Array, Array]:
    """Inputs (n, d_in) and outputs (n, d_out) of as many samples."""
    X, Y = (_matrix(name, given, "(n, d)") for name, given in ((first, inputs), (second, outputs)))
    if len(X) != len(Y):
        raise LinphaseError(f"task: {second} must have as many rows as {first}, {len(X)}, found {len(Y)}")
    return X.astype(np.float64), Y.astype(np.float64)


def _matrix(name: str, given: object, shape: str = "(d_out, d_in)") -> Array:
    """A finite matrix of floating-point numbers; integers and lists of lists are taken for one.

    Raises LinphaseError, which names the argument, for anything else.
    """
    try:
        matrix = np.asarray(given)
        if matrix.dtype.kind in "iub" or (matrix.dtype.kind == "f" and matrix.dtype.itemsize not in (4, 8)):
            matrix = matrix.astype(np.float64)
    except ValueError:  # rows of different lengths
        matrix = np.empty(0, dtype=object)
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or matrix.size == 0:
        what = (
            f"an array of shape {matrix.shape} and type {matrix.dtype}"
            if isinstance(given, np.ndarray)
            else repr(given)
        )
        raise LinphaseError(f"task: {name} must be a matrix {shape} of numbers, found {what:.200}")
    if not np.isfinite(matrix).all():
        raise LinphaseError(f"task: {name} must be finite, found NaN or infinity")
    return np.ascontiguousarray(matrix)  # BLAS writes residuals into arrays of the same order


# ---------------------------------------------------------------------------------------------------- of data


@dataclass(frozen=True, eq=False, repr=False)
class Reduced:
    """Samples as the loss sees them."""

    inputs: Array  # R (r, d_in)
    target: Array  # T (d_out, r)
    irreducible: float  # rho^2, what no linear map fits

    @property
    def size(self) -> float:
        """N = d_out tr Sigma, what squares are divided by to be errors."""
        return len(self.target) * float(np.sum(self.inputs**2))

    def product(self, A: Array) -> Array:
        """A R^T, (d_out, r)."""
        return A @ self.inputs.T


def reduced(chunks: Iterable[tuple[Array, Array]]) -> Reduced:
    """Samples that come in chunks, X (m, d_in) and Y (m, d_out) of any m each, as R, T and rho^2.

    By the triangular factor of [X Y], which is carried from chunk to chunk: memory is flat. Directions of the inputs
    that are 0 to rounding are left out of R.
    """
    factor: Array = np.zeros((0, 0))
    n = d_in = 0
    for X, Y in chunks:
        d_in, n = X.shape[1], n + len(X)
        both = np.hstack([X, Y])
        factor = np.asarray(np.linalg.qr(np.vstack([factor, both]) if factor.size else both, mode="r"))
    factor = factor / np.sqrt(n)
    U, s, Vt = np.linalg.svd(factor[:d_in, :d_in], full_matrices=False)
    kept = s > _NOTHING * s[0] if s[0] > 0 else s > 0
    U, s, Vt = U[:, kept], s[kept], Vt[kept]
    T = (U.T @ factor[: len(U), d_in:]).T
    lost = factor[: len(U), d_in:] - U @ T.T
    return Reduced(s[:, None] * Vt, T, float(np.sum(lost**2) + np.sum(factor[d_in:, d_in:] ** 2)))


def of_samples(
    samples: Iterable[tuple[Array, Array]],
    held_out: Iterable[tuple[Array, Array]] | None = None,
    *,
    rank: int | None = None,
    center: bool = False,
    whiten: bool = False,
) -> "Regression":
    """The task of samples, which are read once, or twice to center them.

    Parameters
    ----------
    samples, held_out
        Chunks X (m, d_in) and Y (m, d_out) of any m each. Test errors are those of the held-out ones, None without.
    rank
        How many leading modes of A_ls are told to be the signal's; without it there are no regimes.
    center
        Whether the means of inputs and outputs, over the samples, are taken off both.
    whiten
        Whether inputs are multiplied by Sigma^(-1/2), of the samples, on the directions that these have.

    Raises
    ------
    LinphaseError
        If there is nothing to learn, the rank does not fit, or to whiten is to divide by 0.
    """
    means = _means(samples) if center else (0.0, 0.0)

    def centered(chunks: Iterable[tuple[Array, Array]]) -> Iterable[tuple[Array, Array]]:
        return ((X - means[0], Y - means[1]) for X, Y in chunks)

    n, d_in = _count(samples)
    fit = reduced(centered(samples))
    test = None if held_out is None else reduced(centered(held_out))
    r, directions = len(fit.inputs), min(n - center, d_in)
    _check_size("inputs", fit.inputs)
    _check_size("outputs", fit.target)
    if test is not None:
        _check_size("test_inputs", test.inputs)
        if not test.inputs.any():
            raise LinphaseError("task: test_inputs must be other than 0, found only zeros" + " once centered" * center)
    if r == 0 or not fit.target.any():
        raise LinphaseError("task: inputs that tell something of the outputs are required, found none")
    if whiten:
        if r < directions:
            raise LinphaseError(
                f"task: inputs that vary in all {directions} directions are required to whiten them, found {r}: "
                "some features are constant, or sums of others. Leave these out"
            )
        s = np.linalg.norm(fit.inputs, axis=1, keepdims=True)
        V = fit.inputs / s  # its rows are orthonormal
        fit = Reduced(V, fit.target, fit.irreducible)
        test = test and Reduced(test.inputs @ (V.T / s.T) @ V, test.target, test.irreducible)
    return Regression(
        None,
        fit.target,
        0 if rank is None else _rank(rank),
        inputs=fit.inputs,
        irreducible=fit.irreducible,
        held_out=test,
    )


def _means(samples: Iterable[tuple[Array, Array]]) -> tuple[Array, Array]:
    sums = [(X.sum(axis=0), Y.sum(axis=0), len(X)) for X, Y in samples]
    n = sum(count for *_, count in sums)
    return sum(X for X, *_ in sums) / n, sum(Y for _, Y, _ in sums) / n


def _count(samples: Iterable[tuple[Array, Array]]) -> tuple[int, int]:
    sizes = [X.shape for X, _ in samples]
    return sum(n for n, _ in sizes), sizes[0][1]


@dataclass(frozen=True, eq=False, repr=False)
class Regression(Task):
    """A task of inputs that are not white: R (r, d_in) and T = `target` (d_out, r).

    Train error is ||A R^T - T||_F^2/N, N = d_out tr Sigma, without what is irreducible; test error the same of held-out
    data or, where the signal is known, ||(A - A*) Sigma^(1/2)||_F^2/N with the covariance of the population. Modes and
    regimes are those of the least-squares solution of the smallest norm, A_ls = T (R^T)^+.
    """

    white: ClassVar[bool] = False

    inputs: Array = field(kw_only=True)
    irreducible: float = field(default=0.0, kw_only=True)
    held_out: Reduced | None = field(default=None, kw_only=True)  # for a known signal: Sigma^(1/2) and A* Sigma^(1/2)
    scale_of_errors: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("target", "inputs"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name)))
        _check_rank(self.rank, self.shape)

    def told(self) -> dict[str, Array]:
        """All of it as arrays; `of_told` reads them."""
        held = self.held_out or Reduced(np.zeros((0, 0)), np.zeros((0, 0)), 0.0)
        return {
            "R": self.inputs,
            "T": self.target,
            "rho2": np.array([self.irreducible]),
            "test_R": held.inputs,
            "test_T": held.target,
            "test_rho2": np.array([held.irreducible]),
        }

    @classmethod
    def of_told(cls, told: Mapping[str, Array], rank: int, noise: float) -> "Regression":
        """A task of data that was told as arrays."""
        held = Reduced(told["test_R"], told["test_T"], float(told["test_rho2"][0])) if told["test_R"].size else None
        return cls(None, told["T"], rank, noise, inputs=told["R"], irreducible=float(told["rho2"][0]), held_out=held)

    @property
    def shape(self) -> tuple[int, int]:
        return self.target.shape[0], self.inputs.shape[1]

    @property
    def size(self) -> float:
        return Reduced(self.inputs, self.target, 0.0).size

    @cached_property
    def input_size(self) -> float:
        """||R||_op^2, the largest eigenvalue of Sigma."""
        return float(np.linalg.norm(self.inputs, 2)) ** 2

    @property
    def error_scale(self) -> float:
        """nu^2; of data ||T||^2/N."""
        return self.scale_of_errors or float(np.sum(self.target**2)) / self.size

    @property
    def irreducible_errors(self) -> tuple[float | None, float | None]:
        held = self.held_out
        return self.irreducible / self.size, None if held is None else held.irreducible / held.size

    @property
    def has_test_error(self) -> bool:
        return self.held_out is not None

    @property
    def population(self) -> "Regression":
        held = self.held_out
        if self.signal is None or held is None or not np.array_equal(self.inputs, held.inputs):
            raise LinphaseError("task: a population is required, found samples of one")
        return Regression(self.signal, held.target, self.rank, 0.0, inputs=held.inputs, held_out=held)

    @property
    def signal_strength(self) -> float:
        """The test error of A = 0, or the train error where there is no test error."""
        held = self.held_out or Reduced(self.inputs, self.target, 0.0)
        return float(np.sum(held.target**2)) / held.size

    @property
    def modes(self) -> int:
        """min(d_out, d_in, n): other directions are not in the data."""
        return min(*self.shape, len(self.inputs))

    @cached_property
    def solution(self) -> Array:
        """A_ls = T (R^T)^+, (d_out, d_in)."""
        with one_blas_thread():
            return self.target @ np.linalg.pinv(self.inputs.T, rcond=_NOTHING)

    @cached_property
    def _fit_values(self) -> Array:
        """The singular values of T."""
        with one_blas_thread():
            return np.linalg.svd(self.target, compute_uv=False)

    def train_error_floor(self, width: int) -> float:
        """Train error of the best matrix of rank <= width: sum of s_i(T)^2 over i > width, over N."""
        return float(np.sum(self._fit_values[width:] ** 2)) / self.size

    def residual(self, A: Array) -> Array:
        return A @ self.inputs.T - self.target

    def loss_gradient(self, residual: Array) -> Array:
        """G = (A R^T - T) R, (d_out, d_in)."""
        return residual @ self.inputs.astype(residual.dtype)

    def covariance_product(self, Z: Array) -> Array:
        return self.loss_gradient(Z @ self.inputs.T)

    def errors(self, A: Array) -> tuple[float, float]:
        held = self.held_out
        test_error = np.nan if held is None else self.test_error(held.product(A) - held.target)
        return self.train_error(self.residual(A)), test_error

    @cached_property
    def origin(self) -> Array:
        return np.zeros(self.shape)

    def from_origin(self, residual: Array, weights: Weights) -> Array:
        return weights.product()

    def deviations(self, dtype: DTypeLike) -> Callable[[Array, Weights], Array] | None:
        if self.held_out is None:
            return None
        Q, P = self.held_out.inputs.T.astype(dtype), self.held_out.target.astype(dtype)
        out, seen = np.empty_like(P, order="C"), np.empty((0, Q.shape[1]), dtype)

        def deviation(residual: Array, weights: Weights) -> Array:
            nonlocal seen
            if len(seen) != weights.width:  # at the first call
                seen = np.empty((weights.width, Q.shape[1]), dtype)
            np.matmul(weights.W1, Q, out=seen)
            np.matmul(weights.W2, seen, out=out)
            np.subtract(out, P, out=out)
            return out

        return deviation

    def deviation_slope(self, weights: Weights, residual: Array, decay: float) -> Array:
        assert self.held_out is not None
        return self.held_out.product(weights.velocity(self.loss_gradient(residual), decay))

    def test_error(self, deviation: Array) -> float:
        assert self.held_out is not None
        return float(np.vdot(deviation, deviation)) / self.held_out.size

    def at_minimum(self, deviation: Array, A: Callable[[], Array], out: Array) -> None:
        np.copyto(out, A())
