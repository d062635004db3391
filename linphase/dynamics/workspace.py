"""The weights of a flow as one vector, its right-hand side, and the vectors of a step.

dW/dt = F(W) = -(W2^T G + l1 W1, G W1^T + l2 W2) with G = W2 W1 - Y and weight decays l1, l2. A step goes from y to
y + z. Weights and residuals at the ends of steps have the precision of the weights; the stages between, and z, that of
the stages: rounding is then lost only in what a step adds (docs/theory.md, "The integrator of the flow").
"""

from collections.abc import Callable
from itertools import cycle
from math import sqrt

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from linphase.model.network import Weights
from linphase.model.task import Regression, Task

Array = NDArray[np.floating]

# ||dA||_F from the images of random vectors costs a tenth of the product itself. The norm is right to 1/sqrt(2 * 16),
# a step length to a third of that.
_PROBES = 16
_RESOLVED = 30.0  # times the rounding of A: above it the slope is the flow's own
_SHAKES = 16
_QUICK = 16  # up to this size eigenvalues are quicker than power iterations


class Workspace:
    """The vectors of a flow: allocated once, and its own.

    The columns of one array are z, F_0, a second z, F_1, F_{-1}, F_{-2}: slopes at the start and the end of the step
    and at the two states before, so that what methods combine lies side by side.
    """

    def __init__(
        self,
        task: Task,
        weights: Weights,
        stages: DTypeLike,
        evaluations: int = 0,
        decays: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        W1, W2 = weights.W1, weights.W2
        self.decays, self.decaying = decays, any(decays)
        self.width, self.d_in, self.d_out = W1.shape[0], W1.shape[1], W2.shape[0]
        n = W1.size + W2.size
        self.columns = np.zeros((n, 6), dtype=stages, order="F")
        self.z, self.F_start, self.z_before, self.F_end, self.F_last, self.F_earlier = self.columns.T
        self.error, self.stage = np.empty((2, n), dtype=stages)
        self.mixed = self.columns.dtype != W1.dtype
        self.rounding = float(np.finfo(self.columns.dtype).eps)
        self.y, self.y_end = np.empty((2, n), dtype=W1.dtype)
        self.start = np.empty(n, dtype=stages) if self.mixed else self.y
        # Every vector as two layers, by its identity: cut once, for at d = 4 a step's cost is that of its calls.
        vectors = (self.z, self.F_start, self.z_before, self.F_end, self.error, self.stage, self.start)
        self.layers = {id(vector): self._cut(vector) for vector in (*vectors, self.y, self.y_end)}
        for layer, values in zip(self.split(self.y), (W1, W2), strict=True):
            np.copyto(layer, values)
        np.copyto(self.start, self.y)
        self.target = task.target.astype(W1.dtype)
        self.stage_target = self.target.astype(stages)
        self.target_norm = norm(self.stage_target)
        self.G_start, self.G_end = np.empty((2, *self.target.shape), dtype=W1.dtype)
        self.G = np.empty(task.shape, dtype=stages)  # the gradient by A
        self.residual = self._residual_of_stages(task)
        self.A = np.empty_like(self.residual)  # as the loss sees it
        self.gemm, self.gemv, self.axpy = get_blas_funcs(["gemm", "gemv", "axpy"], [self.columns])
        (self.syev,) = get_lapack_funcs(["syev"], [self.columns])
        (self.gemm_whole,) = get_blas_funcs(["gemm"], [self.y])
        self.evaluations = evaluations  # gradient evaluations spent so far
        # Power iterations start from the last leading vectors, shaken: a fixed stream, so runs repeat bit for bit.
        random = np.random.Generator(np.random.PCG64(0))
        self.leading, self.shakes = {}, {}
        for name, size in (("W1", self.target.shape[1]), ("W2", self.width), ("G", self.d_in)):
            directions = random.standard_normal((_SHAKES + 1, size)).astype(stages)
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            self.leading[name], self.shakes[name] = directions[0], cycle(0.1 * directions[1:])
        probes = random.standard_normal((self.target.shape[1], _PROBES)) / np.sqrt(_PROBES)
        self.probes = self._seen(probes).astype(stages)  # E ||M probes||_F^2 = ||M||_F^2
        self._residual(self.y, self.G_start, self.target, self.gemm_whole)
        np.copyto(self.residual, self.G_start)
        self._gradient()
        self.add_slope(1, self.start, self.F_start, keep=0)

    @property
    def weights(self) -> Weights:
        """The weights at the start of the step."""
        return Weights(*self.split(self.y))

    def split(self, vector: Array) -> tuple[Array, Array]:
        """The views W1 (width, d_in) and W2 (d_out, width) of one of the vectors, but F_last and F_earlier."""
        return self.layers[id(vector)]

    def _cut(self, vector: Array) -> tuple[Array, Array]:
        cut = self.width * self.d_in
        return vector[:cut].reshape(self.width, self.d_in), vector[cut:].reshape(self.d_out, self.width)

    # A task of other than white inputs has these of its own (`RegressionWorkspace`).

    def _residual_of_stages(self, task: Task) -> Array:
        """Where the residual of a stage is kept: it is the gradient."""
        return self.G

    def _gradient(self) -> None:
        """The gradient G of the residual in hand."""

    def _seen(self, directions: Array) -> Array:
        """Directions of what the loss sees of A, (r, n), as those of the inputs, (d_in, n)."""
        return directions

    def _input_rates(self, W1: Array) -> tuple[float, float]:
        """||Sigma||_op and ||W1 Sigma^(1/2)||_op^2."""
        return 1.0, self._leading_square("W1", W1)

    def _residual(self, vector: Array, G: Array, target: Array, gemm: object) -> None:
        W1, W2 = self.split(vector)
        np.copyto(G, target)
        gemm(1, W1.T, W2.T, -1, G.T, overwrite_c=1)  # type: ignore[operator]

    def add_slope(self, scale: float, vector: Array, out: Array, keep: float = 1) -> None:
        """out = keep out + scale F(vector), from the residual G in hand."""
        W1, W2 = self.split(vector)
        out1, out2 = self.split(out)
        self.gemm(-scale, self.G.T, W2.T, keep, out1.T, trans_b=1, overwrite_c=1)
        self.gemm(-scale, W1.T, self.G.T, keep, out2.T, trans_a=1, overwrite_c=1)
        if self.decaying:
            self._add_decay(scale, vector, out)
        self.evaluations += 1

    def _add_decay(self, scale: float, vector: Array, out: Array) -> None:
        """out = out - scale (l1 W1, l2 W2) of the vector."""
        cut = self.width * self.d_in
        for decay, first, size in zip(self.decays, (0, cut), (cut, vector.size - cut), strict=True):
            self.axpy(vector, out, a=-scale * decay, n=size, offx=first, offy=first)

    def add_slope_at(self, z: Array, scale: float, out: Array, keep: float = 1) -> None:
        """out = keep out + scale F(y + z), in the precision of the stages."""
        np.add(self.start, z, out=self.stage)
        self._residual(self.stage, self.residual, self.stage_target, self.gemm)
        self._gradient()
        self.add_slope(scale, self.stage, out, keep)

    def finish(self, z: Array) -> None:
        """The end of a step by z: y + z, its residual and its slope."""
        np.add(self.y, z, out=self.y_end)
        self._residual(self.y_end, self.G_end, self.target, self.gemm_whole)
        np.copyto(self.residual, self.G_end)
        self._gradient()
        np.copyto(self.stage, self.y_end)
        self.add_slope(1, self.stage, self.F_end, keep=0)
        W1, _ = self.split(self.stage)
        self.probed = W1 @ self.probes
        np.add(self.residual, self.stage_target, out=self.A)
        self.sizes = norm(self.stage), max(norm(self.A), self.target_norm)

    def relative(self, error: Array) -> float:
        """The larger of ||dW||_F/||W||_F and ||dA||_F/max(||A||_F, ||Y||_F) at the step's end, dA = W2 dW1 + dW2 W1."""
        _, W2 = self.split(self.stage)
        dW1, dW2 = self.split(error)
        in_weights, in_product = norm(error), norm(W2 @ (dW1 @ self.probes) + dW2 @ self.probed)
        found = in_weights / self.sizes[0], in_product / self.sizes[1]
        return max(found) if np.isfinite(sum(found)) else np.inf

    def accept(self) -> None:
        """Make the end of the step the start of the next."""
        self.y, self.y_end = self.y_end, self.y
        self.G_start, self.G_end = self.G_end, self.G_start
        if self.mixed:
            self.start, self.stage = self.stage, self.start
        else:
            self.start = self.y
        for later, earlier in ((self.F_last, self.F_earlier), (self.F_start, self.F_last), (self.F_end, self.F_start)):
            np.copyto(earlier, later)

    def within(self, share: float, h: float) -> Weights:
        """The weights at a share of the step of length h accepted last, a copy: cubic Hermite, of order 4.

        Before the next step is taken, which overwrites its begin.
        """
        x, dtype = share, self.y.dtype
        change = x * x * (3 - 2 * x) * (self.y - self.y_end)
        change += np.multiply(self.F_last, h * x * (1 - x) ** 2, dtype=dtype)
        change += np.multiply(self.F_start, h * x * x * (x - 1), dtype=dtype)
        return Weights(*self._cut(self.y_end + change))

    def resolved(self) -> bool:
        """Whether the slope at the start is well above what the rounding of A in the stages makes of it.

        The slope without the decay, which knows of no A.
        """
        size, slope = norm(self.start), self.F_start
        if self.decaying:
            slope = self.error
            np.copyto(slope, self.F_start)
            self._add_decay(-1, self.start, slope)
        in_product = self.rounding * size**2 / 2 / sqrt(self.width)  # ||W1|| ||W2|| is at most half of size^2
        return norm(slope) > _RESOLVED * size * in_product

    def forget(self) -> None:
        """Remove what an overflow left: 0 times infinity is not 0."""
        for column in (self.z, self.z_before, self.F_end):
            column.fill(0)

    def spectral_radius(self) -> tuple[float, float]:
        """Upper bounds of the rates, by power iterations: of the Jacobian, and of what nothing else can see.

        ||W1||_op^2 + ||W2||_op^2 + ||G||_op + l of the Jacobian. Of the modes that wait at a saddle ||G||_op - l, of
        what the layers do not share l; the larger of the two.
        """
        W1, W2 = self.split(self.start)
        np.copyto(self.residual, self.G_start)
        self._gradient()
        stretch = sqrt(self._leading_square("G", self.G))
        inputs, first = self._input_rates(W1)
        rho = first + self._leading_square("W2", W2) * inputs + stretch
        least, most = sorted(self.decays)
        return 1.1 * rho + most, max(1.1 * stretch - least, most, float(np.finfo(np.float64).tiny))

    def _leading_square(self, name: str, matrix: Array, iterations: int = 2) -> float:
        """||matrix||_op^2 from below, starting near the last leading right singular vector; exact where that is quick.

        The shake of relative size 0.1 frees an iteration locked on a vector that has ceased to lead.
        """
        if min(matrix.shape) <= _QUICK:
            square = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
            return float(self.syev(square, compute_v=0)[0][-1]) if np.isfinite(square).all() else np.inf
        x = self.leading[name] + next(self.shakes[name])
        for _ in range(iterations):
            size = norm(x)
            if size == 0:  # a residual of zero
                return 0.0
            self.leading[name] = x = x / size
            x = matrix.T @ (matrix @ x)
        return norm(x)


class RegressionWorkspace(Workspace):
    """The vectors of a flow whose loss sees A R^T: G = (W2 W1 R^T - T) R.

    The stages have the precision of the weights.
    """

    def __init__(
        self,
        task: Regression,
        weights: Weights,
        stages: DTypeLike,
        evaluations: int = 0,
        decays: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.R = task.inputs.astype(weights.W1.dtype)
        self.W1R = np.empty((weights.width, len(self.R)), dtype=self.R.dtype)  # W1 R^T
        self.input_size, self.solution_norm = task.input_size, norm(task.solution)
        random = np.random.Generator(np.random.PCG64(1))
        self.all_probes = (random.standard_normal((task.shape[1], _PROBES)) / np.sqrt(_PROBES)).astype(stages)
        super().__init__(task, weights, stages, evaluations, decays)

    def _residual_of_stages(self, task: Task) -> Array:
        return np.empty(self.target.shape, dtype=self.G.dtype)

    def _residual(self, vector: Array, G: Array, target: Array, gemm: object) -> None:
        W1, W2 = self.split(vector)
        np.copyto(G, target)
        gemm(1, np.matmul(W1, self.R.T, out=self.W1R).T, W2.T, -1, G.T, overwrite_c=1)  # type: ignore[operator]

    def _gradient(self) -> None:
        np.matmul(self.residual, self.R, out=self.G)

    def _seen(self, directions: Array) -> Array:
        return np.asarray(self.R.T @ directions)

    def _input_rates(self, W1: Array) -> tuple[float, float]:
        return self.input_size, self._leading_square("W1", np.matmul(W1, self.R.T, out=self.W1R))

    def relative(self, error: Array) -> float:
        """The same, and ||dA||_F/max(||A||_F, ||A_ls||_F), which the test error hangs on."""
        W1, W2 = self.split(self.stage)
        dW1, dW2 = self.split(error)
        probed = W1 @ self.all_probes
        size = max(norm(W2 @ probed), self.solution_norm)
        change = norm(W2 @ (dW1 @ self.all_probes) + dW2 @ probed) / size
        return max(super().relative(error), change) if np.isfinite(change) else np.inf


def workspace(
    task: Task, weights: Weights, stages: DTypeLike, evaluations: int = 0, decays: tuple[float, float] = (0.0, 0.0)
) -> Workspace:
    """The workspace of a task's flow; stages: their precision, where inputs are white; decays: of W1 and of W2.

    Else directions in which inputs hardly vary would be lost in the rounding of the others.
    """
    if isinstance(task, Regression):
        return RegressionWorkspace(task, weights, weights.W1.dtype, evaluations, decays)
    return Workspace(task, weights, stages, evaluations, decays)


def residuals(task: Task, width: int, dtype: DTypeLike) -> Callable[[Array, Array], tuple[Array, Array]]:
    """What gives the residual and the gradient by A of layers W1 (width, d_in) and W2 (d_out, width), in arrays of
    its own: the residual W2 W1 - Y is the gradient, of a regression it is W2 W1 R^T - T and the gradient that times R.
    """
    target = task.target.astype(dtype)
    residual = np.empty_like(target)
    (gemm,) = get_blas_funcs(["gemm"], [target])

    def white(W1: Array, W2: Array) -> tuple[Array, Array]:
        np.copyto(residual, target)
        gemm(1, W1.T, W2.T, -1, residual.T, overwrite_c=1)
        return residual, residual

    if not isinstance(task, Regression):
        return white
    R = task.inputs.astype(dtype)
    gradient, seen = np.empty(task.shape, dtype=dtype), np.empty((width, len(R)), dtype=dtype)

    def regression(W1: Array, W2: Array) -> tuple[Array, Array]:
        white(np.matmul(W1, R.T, out=seen), W2)
        np.matmul(residual, R, out=gradient)
        return residual, gradient

    return regression


def norm(x: Array) -> float:
    """Frobenius norm, by BLAS and without a copy."""
    return sqrt(np.vdot(x, x))
