"""Gradient flow to convergence by a stabilized explicit method (docs/theory.md, "The integrator of the flow").

dW1/dt = -W2^T G, dW2/dt = -G W1^T with G = W2 W1 - Y. The flow is stiff, with real rates up to about 2 c or 2 s_1(Y):
Runge-Kutta-Chebyshev steps of order 2 take as many stages as their length asks for.
"""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import get_blas_funcs

from linphase.dynamics.base import MAX_EVALUATIONS, Dynamics, Planned, State
from linphase.dynamics.chebyshev import stages, stages_for
from linphase.errors import LinphaseError
from linphase.model.network import Initialization, Weights
from linphase.model.task import Task

Array = NDArray[np.floating]

# At a saddle the waiting modes grow at up to ||G||_op, unseen by the error control, and a stabilized step damps what
# it cannot see: with steps of at most 0.5/||G||_op escape times are right to about 1 %.
_SADDLE_STEP = 0.5
_SAFETY = 0.8
_GROWTH = (0.1, 10.0)
# ||dA||_F from the images of random vectors costs a tenth of the product itself. The norm is right to 1/sqrt(2 * 16),
# a step length to a third of that.
_PROBES = 16


class GradientFlow(Dynamics, kind="flow"):
    """Gradient flow, with a relative error of at most `tolerance` a step, in A and in the weights.

    ||dA||_F <= tolerance max(||A||_F, ||Y||_F) and ||dW||_F <= tolerance ||W||_F, dA = W2 dW1 + dW2 W1. The bound on
    A matters where the weights are huge (lazy), the bound on W where A is small. Ends after max_evaluations
    gradient evaluations.
    """

    title: ClassVar[str] = "gradient flow"
    continuous: ClassVar[bool] = True

    tolerance: float = Field(
        default=1e-3,
        gt=0,
        le=0.1,
        title="relative error of a step, in A and in the weights",
        description="a number above 0 and at most 0.1",
    )
    max_evaluations: int = MAX_EVALUATIONS

    def evaluations(self, spec: Planned) -> float:
        return min(200, self.max_evaluations)

    def states(self, task: Task, weights: Weights, initialization: Initialization) -> Iterator[State]:
        """Yield the start and the state after each accepted step.

        Raises LinphaseError where the precision of the weights cannot resolve the wanted accuracy of A.
        """
        step = _ChebyshevStep(task, weights)
        time, accepted = 0.0, 0
        step.begin()
        yield State(time, accepted, step.evaluations, step.start, step.start_residual)

        rho, stretch = step.spectral_radius()
        h = min(1 / rho, _SADDLE_STEP / stretch)
        controller = _StepController()
        while step.evaluations < self.max_evaluations:
            error = step.attempt(h, rho, self.tolerance)
            if error <= 1:
                time, accepted = time + h, accepted + 1
                step.accept()
                yield State(time, accepted, step.evaluations, step.start, step.start_residual)
            elif h < 1e-12 / rho:
                raise LinphaseError(
                    f"flow: no step is small enough for a tolerance of {self.tolerance} at c = "
                    f"{initialization.threshold:.3g} in {weights.W1.dtype}: A = W2 W1 is lost in rounding. "
                    'Use run.precision = "float64" or a larger tolerance'
                )
            h *= controller.factor(h, error)
            rho, stretch = step.spectral_radius()
            h = min(h, _SADDLE_STEP / stretch)


class _StepController:
    """Step lengths from local errors of order h^3 (RKC, section 3.2): like the last change, unless a step failed."""

    def __init__(self) -> None:
        self.previous: tuple[float, float] | None = None  # length and error of the last accepted step

    def factor(self, h: float, error: float) -> float:
        """By how much to change h after a step of length h with this error (accepted where error <= 1)."""
        if not np.isfinite(error):
            self.previous = None
            return _GROWTH[0]
        error = max(error, 1e-9)
        factor: float = _SAFETY * error ** (-1 / 3)
        if error > 1:
            self.previous = None
            return float(np.clip(factor, _GROWTH[0], 0.9))
        if self.previous is not None:
            h_before, error_before = self.previous
            factor *= min(1.0, (error_before / error) ** (1 / 3) * h / h_before)
        self.previous = h, error
        return float(np.clip(factor, *_GROWTH))


class _ChebyshevStep:
    """The workspace of one flow: the vector (W1, W2) at the stages of a step, as columns of one array.

    Columns: P and Q alternate as the stages Y_{j-1} and Y_{j-2}; between them stand Y_0 and F_0, so that a stage is
    one product of three neighbouring columns with their coefficients, and the gradient is accumulated onto it. The
    last column is F_1, for the local error is a combination of them too.
    """

    def __init__(self, task: Task, weights: Weights) -> None:
        W1, W2 = weights.W1, weights.W2
        self.width, self.d_in, self.d_out = W1.shape[0], W1.shape[1], W2.shape[0]
        n = W1.size + W2.size
        self.columns = np.zeros((n, 5), dtype=W1.dtype, order="F")
        self.P, self.Y0, self.F0, self.Q, self.F1 = self.columns.T
        self.error = np.empty(n, dtype=W1.dtype)
        self.target = task.target.astype(W1.dtype)
        self.target_norm = float(np.linalg.norm(self.target))
        self.G = np.empty_like(self.target)
        self.G0 = np.empty_like(self.target)
        self.A = np.empty_like(self.target)
        self.gemm, self.gemv = get_blas_funcs(["gemm", "gemv"], [W1, W2])
        for view, values in zip(self.split(self.Y0), (W1, W2), strict=True):
            np.copyto(view, values)
        self.start = Weights(*self.split(self.Y0))
        self.start_residual = self.G0
        self.evaluations = 0
        # Power iterations start from the last leading vectors, shaken: a fixed stream, so runs repeat bit for bit.
        self.random = np.random.Generator(np.random.PCG64(0))
        self.leading = {
            name: np.asarray(self.random.standard_normal(size), dtype=W1.dtype)
            for name, size in (("W1", self.d_in), ("W2", self.width), ("G", self.d_in))
        }
        probes = self.random.standard_normal((self.d_in, _PROBES)) / np.sqrt(_PROBES)
        self.probes = probes.astype(W1.dtype)  # E ||M probes||_F^2 = ||M||_F^2

    def split(self, vector: Array) -> tuple[Array, Array]:
        """The views W1 (width, d_in) and W2 (d_out, width) of a vector of weights."""
        cut = self.width * self.d_in
        return vector[:cut].reshape(self.width, self.d_in), vector[cut:].reshape(self.d_out, self.width)

    def residual(self, vector: Array, G: Array) -> None:
        """G = W2 W1 - Y."""
        W1, W2 = self.split(vector)
        np.copyto(G, self.target)
        self.gemm(1, W1.T, W2.T, -1, G.T, overwrite_c=1)

    def add_gradient(self, scale: float, vector: Array, G: Array, out: Array, keep: float = 1) -> None:
        """out = keep out - scale (W2^T G, G W1^T), the gradient of 1/2 ||G||_F^2 at `vector`."""
        W1, W2 = self.split(vector)
        out1, out2 = self.split(out)
        self.gemm(-scale, G.T, W2.T, keep, out1.T, trans_b=1, overwrite_c=1)
        self.gemm(-scale, W1.T, G.T, keep, out2.T, trans_a=1, overwrite_c=1)
        self.evaluations += 1

    def begin(self) -> None:
        """F_0 and G_0 at the start."""
        self.residual(self.Y0, self.G0)
        self.add_gradient(1, self.Y0, self.G0, self.F0, keep=0)

    def attempt(self, h: float, rho: float, tolerance: float) -> float:
        """A step of length h from Y_0; returns its error over the allowed one (accept at 1 or below)."""
        s = stages_for(h * rho)
        coefficients = stages(s)
        before, last = self.P, self.Q  # Y_{j-2}, Y_{j-1}
        self.gemv(1, self.columns[:, 1:3], (1, coefficients.mu_tilde[1] * h), 0, last, overwrite_y=1)
        for j in range(2, s + 1):
            mu, nu, gamma_tilde = coefficients.mu[j], coefficients.nu[j], coefficients.gamma_tilde[j]
            self.residual(last, self.G)
            if j == 2:  # Y_{j-2} is Y_0, and `before` not yet anything
                nu = 0.0
            if before is self.P:  # Y_0, F_0, Q
                columns, weights = self.columns[:, 1:4], (1 - mu - nu, gamma_tilde * h, mu)
            else:  # P, Y_0, F_0
                columns, weights = self.columns[:, :3], (mu, 1 - mu - nu, gamma_tilde * h)
            self.gemv(1, columns, weights, nu, before, overwrite_y=1)
            self.add_gradient(coefficients.mu_tilde[j] * h, last, self.G, before)
            before, last = last, before
        self.end = last
        self.residual(last, self.G)
        self.add_gradient(1, last, self.G, self.F1, keep=0)
        return self.local_error(h) / tolerance

    def local_error(self, h: float) -> float:
        """Estimate 0.8 (y_n - y_{n+1}) + 0.4 h (F_n + F_{n+1}) (RKC, section 3.1), relative, in A and in W."""
        at_P, at_Q = (-0.8, 0.0) if self.end is self.P else (0.0, -0.8)
        self.gemv(1, self.columns, (at_P, 0.8, 0.4 * h, at_Q, 0.4 * h), 0, self.error, overwrite_y=1)
        in_weights = norm(self.error) / norm(self.end)
        (W1, W2), (dW1, dW2) = self.split(self.end), self.split(self.error)
        in_product = norm(W2 @ (dW1 @ self.probes) + dW2 @ (W1 @ self.probes))
        np.add(self.G, self.target, out=self.A)
        in_product /= max(norm(self.A), self.target_norm)
        error = max(in_weights, in_product)
        return error if np.isfinite(in_weights + in_product) else np.inf

    def accept(self) -> None:
        """Make the end of the last attempt the start of the next."""
        np.copyto(self.Y0, self.end)
        np.copyto(self.F0, self.F1)
        np.copyto(self.G0, self.G)

    def spectral_radius(self) -> tuple[float, float]:
        """Upper bounds, by power iterations: of the Jacobian, ||W1||_op^2 + ||W2||_op^2 + ||G||_op, and of ||G||_op."""
        W1, W2 = self.split(self.Y0)
        stretch = float(np.sqrt(self.leading_square("G", self.G0)))  # numpy scalars would upcast single precision
        rho = self.leading_square("W1", W1) + self.leading_square("W2", W2) + stretch
        if not np.isfinite(rho):
            raise LinphaseError(
                f'flow: the weights overflow in {W1.dtype}. Use run.precision = "float64" or a smaller sigma2'
            )
        return 1.1 * rho, max(1.1 * stretch, float(np.finfo(np.float64).tiny))

    def leading_square(self, name: str, matrix: Array, iterations: int = 2) -> float:
        """||matrix||_op^2 from below, starting near the last leading right singular vector.

        The shake of relative size 0.1 frees an iteration locked on a vector that has ceased to lead.
        """
        x = self.leading[name]
        shake = self.random.standard_normal(x.size).astype(x.dtype)
        x = x + 0.1 * norm(x) / norm(shake) * shake
        for _ in range(iterations):
            x /= norm(x)
            self.leading[name] = x
            x = matrix.T @ (matrix @ x)
            if not x.any():  # a residual of zero
                return 0.0
        return norm(x)


def norm(x: Array) -> float:
    """Frobenius norm, by BLAS and without a copy."""
    flat = x.reshape(-1)
    return float(np.sqrt(np.dot(flat, flat)))
