"""What is measured of a network (docs/theory.md, "Observables").

First the stored numbers, each declared where it is computed; then what is measured of every mode. Modes are
i = 0 .. min(d_in, d_out, width) - 1; mode i pairs the i-th singular value of A with the i-th of Y. Beyond them all
would be 0/0.
"""

from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from linphase.model.kernel import Kernel, kernel_norm
from linphase.model.moment import Moment, observable
from linphase.model.network import Weights
from linphase.model.task import Task

Array = NDArray[np.floating]


# ------------------------------------------------------------------------------------------------ stored numbers


def mean_square(difference: Array) -> float:
    """||difference||_F^2/(d_out d_in): the train error of A - Y, the test error of A - A*."""
    flat = difference.reshape(-1)
    return float(np.dot(flat, flat)) / flat.size


@observable("||A||_F^2/||A||_op^2", at=("minimum",), panel="stable-rank", title="stable rank at\nsmallest test error")
def stable_rank(moment: Moment) -> float:
    """||A||_F^2/||A||_op^2; 0 for A = 0 (Tu et al. 2024, Figure 2)."""
    _, s, _ = moment.svd
    leading = float(s[0])
    return float(np.sum((s / leading) ** 2)) if leading > 0 else 0.0


@observable("singular values of A above s_1/5", at=("minimum",), panel="rank", title="rank at\nsmallest test error")
def rank(moment: Moment) -> int:
    """Number of singular values of A above a fifth of the largest (Tu et al. 2024, Figure 2)."""
    _, s, _ = moment.svd
    return int(np.count_nonzero(s > s[0] / 5))


@observable(
    "||Theta - Theta_0||/||Theta_0||",
    needs=("kernel", "start"),
    panel="kernel-change",
    title="relative change of the kernel",
    formula=r"$\|\Theta-\Theta_0\|/\|\Theta_0\|$",
)
def kernel_change(moment: Moment) -> float:
    """||Theta - Theta_0||_F/||Theta_0||_F: 0 where the kernel never moved (lazy)."""
    now, then = _kernels(moment)
    return kernel_norm(now - then) / kernel_norm(then)


@observable(
    "1 - cos(Theta, Theta_0)",
    needs=("kernel", "start"),
    panel="kernel-distance",
    title="kernel distance",
    formula=r"$1-\cos(\Theta,\Theta_0)$",
)
def kernel_distance(moment: Moment) -> float:
    """1 - cos(Theta, Theta_0), in [0, 1], by how much the kernel turned (Fort et al. 2020).

    Computed as half of ||Theta/||Theta|| - Theta_0/||Theta_0|| ||^2, which keeps its digits where it is small.
    """
    now, then = _kernels(moment)
    return kernel_norm(now / kernel_norm(now) - then / kernel_norm(then)) ** 2 / 2


@observable(
    "<Y, Theta Y>/(||Theta|| ||Y||^2)",
    needs=("kernel",),
    panel="alignment",
    title="alignment of kernel and target",
    formula=r"$\langle Y,\Theta Y\rangle/(\|\Theta\|\,\|Y\|^2)$",
)
def target_alignment(moment: Moment) -> float:
    """<Y, Theta[Y]>/(||Theta||_F ||Y||_F^2), in [0, 1]: movement alone is not learning.

    (d_out d_in)^(-1/2) where Theta is a multiple of the identity, larger where the layers have grown along Y: up to
    (2/(d + 1))^(1/2) for a square Y of one mode that both layers carry equally and alone. 0 for Y = 0.
    """
    kernel, Y = moment.kernel, moment.task.solution
    assert kernel is not None
    square = float(np.vdot(Y, Y))
    if square == 0:
        return 0.0
    return float(np.vdot(Y, kernel.apply(Y))) / (kernel_norm(kernel) * square)


@observable(
    "||W1 W1^T - W2^T W2||_F/(||C1||_F + ||C2||_F)",
    needs=("weights",),
    panel="imbalance",
    title="imbalance of the layers",
    formula=r"$\|D\|/(\|C_1\|+\|C_2\|)$",
)
def imbalance(moment: Moment) -> float:
    """||W1 W1^T - W2^T W2||_F/(||C1||_F + ||C2||_F), in [0, 1]: 0 for a balanced network, 1 where one layer is 0.

    From the weights themselves: ||C1||^2 + ||C2||^2 - 2 ||A||^2 equals the square of the numerator but loses all
    digits near balance.
    """
    assert moment.conserved is not None
    return _size(moment.conserved) / _layer_sizes(moment)


@observable(
    "||D - D_0||_F/(||C1(0)||_F + ||C2(0)||_F), D = W1 W1^T - W2^T W2, D_0 e^(-2 l t) of its start,",
    needs=("weights", "start"),
    panel="imbalance-drift",
    title="drift of the imbalance",
    formula=r"$\|D-D_0\|/(\|C_1(0)\|+\|C_2(0)\|)$",
)
def imbalance_drift(moment: Moment) -> float:
    """||D - D_0||_F/(||C1(0)||_F + ||C2(0)||_F) with D = W1 W1^T - W2^T W2: 0 under exact gradient flow.

    The error of the integration, or what the learning rate of gradient descent breaks. Relative to the layers at the
    start, not to D_0, which is 0 for a balanced one. With weight decay D_0 is e^(-2 l t) times that of the start.
    """
    assert moment.conserved is not None
    assert moment.start is not None
    assert moment.start.conserved is not None
    return _size(moment.conserved - moment.forgetting * moment.start.conserved) / _layer_sizes(moment.start)


@observable(
    "overlap of the top-k singular subspaces of A with those of A*",
    unit="share",
    at=("minimum", "end"),
    needs="signal",
    panel="overlap",
    title="overlap with the signal\nat smallest test error",
)
def subspace_overlap(moment: Moment) -> float:
    """(||U_k^T U*||_F^2 + ||V_k^T V*||_F^2)/(2 k), in [0, 1]: 1 where the top-k singular subspaces of A are A*'s.

    U_k and V_k are the k leading singular vectors of A, or as many as its rank can be: vectors of a singular value
    that is always 0 mean nothing.
    """
    U, _, V = moment.svd
    assert moment.signal is not None
    U_star, _, V_star = moment.signal
    k: int = U_star.shape[1]
    kept = min(k, moment.rank)
    left, right = np.linalg.norm(U[:, :kept].T @ U_star), np.linalg.norm(V[:, :kept].T @ V_star)
    return (float(left) ** 2 + float(right) ** 2) / (2 * k)


@observable(
    "share of the k signal modes that started with s_i > c, wherever they are",
    unit="share",
    needs=("start",),
    panel="started-above",
    title="share of the signal that\nstarted above the threshold",
    formula=r"$s_i(A_0) > c$",
)
def signal_started_above(moment: Moment) -> float | None:
    """#{i <= k: s_i(A(0)) > c}/k: such a mode is active before it has learned anything.

    Modes that the width cannot hold count as below; k is the rank of A*. Of wide square networks with width > 4.73 d
    it is 0 (docs/theory.md, "The boundaries").
    """
    start, k = moment.start, moment.task.rank
    if k == 0:  # no modes are told to be the signal's
        return None
    assert start is not None
    leading = start.singular_values[: min(k, start.rank)]
    return int(np.count_nonzero(leading > moment.c)) / k


@observable(
    "||Theta - Theta_sc||/||Theta||",
    needs=("kernel",),
    panel="residual",
    title="residual of self-consistency",
    formula=r"$\|\Theta-\Theta_{sc}\|/\|\Theta\|$",
)
def self_consistency_residual(moment: Moment) -> float:
    """||Theta - Theta_sc||_F/||Theta||_F, Theta_sc the kernel of equation (1) at the same A: 0 where that holds.

    Theta_sc: G -> sqrt(A A^T + c^2 I) G + G sqrt(A^T A + c^2 I). C1 + x I and C2 - x I are the same kernel, so the
    residual does not see how the layers share c, which does not move A either. With weight decay c is e^(-2 l t) times
    that of the start.
    """
    kernel = moment.kernel
    assert kernel is not None
    return kernel_norm(kernel - Kernel.self_consistent(*moment.svd, moment.c * moment.forgetting)) / kernel_norm(kernel)


@observable(
    "e^(-2 l t), the share of the start's D = W1 W1^T - W2^T W2 that weight decay l has left,",
    panel="forgetting",
    title="what weight decay has left\nof the start",
    formula=r"$e^{-2lt}$",
)
def forgetting(moment: Moment) -> float:
    """e^(-2 l t), in (0, 1]: 1 without weight decay, where D = W1 W1^T - W2^T W2 is conserved.

    The threshold of a wide network is c times this (docs/theory.md, "Weight decay").
    """
    return moment.forgetting


@observable(
    "top eigenvalue of the loss Hessian (record.sharpness)",
    unit="1/time",
    at=("end", "largest", "snapshots"),
    needs=("hessian",),
    panel="sharpness",
    title="sharpness",
    formula=r"$\lambda_{max}(\nabla^2 L)$",
)
def sharpness(moment: Moment) -> float:
    """lambda_max of the loss Hessian: descent is stable along its eigenvector where learning rate * lambda_max < 2.

    At a minimum ||W1||_op^2 + ||W2||_op^2, in theory 2 sqrt(s_1^2 + c^2), of white inputs without decay
    (docs/theory.md, "Sharpness").
    """
    assert moment.hessian is not None
    return moment.hessian.largest_eigenvalue()


@observable(
    "test error less train error, both without what is irreducible,",
    at=("end", "minimum", "largest"),
    panel="generalization-gap",
    title="gap, test error\nless train error",
)
def generalization_gap(moment: Moment) -> float | None:
    """Test error - train error (Golikov 2024); below 0 where the target's noise is not fitted. None without the one.

    The train error is measured against Y with its noise, the test error of a drawn task against A* without.
    """
    train_error, test_error = moment.errors
    return None if isnan(test_error) else test_error - train_error


def _layer_sizes(moment: Moment) -> float:
    """||C1||_F + ||C2||_F."""
    assert moment.kernel is not None
    return _size(moment.kernel.C1) + _size(moment.kernel.C2)


def _size(matrix: Array) -> float:
    """Frobenius norm, of entries whose squares would be 0 or infinite too."""
    largest = float(np.abs(matrix).max())
    return largest * float(np.linalg.norm(matrix / largest)) if 0 < largest < np.inf else largest


def _kernels(moment: Moment) -> tuple[Kernel, Kernel]:
    """The kernel now and at the start."""
    assert moment.kernel is not None
    assert moment.start is not None
    assert moment.start.kernel is not None
    return moment.kernel, moment.start.kernel


# ------------------------------------------------------------------------------------------------- of every mode


@dataclass(frozen=True)
class Modes:
    """The modes at the end of a run, i = 0 .. min(d_in, d_out, width) - 1; mode i pairs s_i(A) with s_i(Y)."""

    singular_value: Array  # s_i(A)
    balance: Array  # 2 s_i / (u_i^T C2 u_i + v_i^T C1 v_i), in [0, 1]
    speed_up: Array  # learning rate of Y's mode i at the end over the average one at the start
    target: Array  # s_i(Y)


def mode_rates(weights: Weights, U: Array, V: Array) -> Array:
    """u_i^T C2 u_i + v_i^T C1 v_i = ||W2^T u_i||^2 + ||W1 v_i||^2: the learning rate of the mode u_i v_i^T.

    U (d_out, n) and V (d_in, n) hold the vectors as columns; returns (n,).
    """
    left, right = weights.W2.T @ U, weights.W1 @ V
    rates: Array = np.einsum("ij,ij->j", left, left) + np.einsum("ij,ij->j", right, right)
    return rates


def singular_values_and_balance(weights: Weights, modes: int) -> tuple[Array, Array]:
    """The leading singular values s_i of A = W2 W1 and their mode balance.

    b_i = 2 s_i/(u_i^T C2 u_i + v_i^T C1 v_i), in [0, 1]: 1 where the two layers carry mode i equally and aligned
    (balanced), 0 where they do not move for it (lazy). Returns two arrays (min(modes, d_in, d_out, width),).
    """
    weights = _narrowed(weights)
    U, s, V = _singular_vectors(weights.product())
    n = min(modes, s.size, weights.width)
    return s[:n], mode_balance(s[:n], mode_rates(weights, U[:, :n], V[:, :n]))


def leading_singular_values(weights: Weights, modes: int) -> Array:
    """The leading singular values s_i of A = W2 W1 alone, (min(modes, d_in, d_out, width),)."""
    weights = _narrowed(weights)
    return largest_values(weights.product(), min(modes, weights.width))


def largest_values(A: Array, modes: int) -> Array:
    """The leading singular values of a matrix, (min(modes, d_in, d_out),), descending."""
    modes = min(modes, *A.shape)
    if _squares_well(A):
        squares = np.linalg.eigvalsh(A.T @ A)
        if squares[-modes] > _SQUARED * squares[-1]:
            return np.asarray(np.sqrt(squares[: -modes - 1 : -1]))
    return np.asarray(np.linalg.svd(A, compute_uv=False)[:modes])


def _narrowed(weights: Weights) -> Weights:
    """Below both dimensions a problem of size width: singular values and rates do not see the Q of a layer's QR."""
    smaller = min(weights.W1.shape[1], weights.W2.shape[0])
    if weights.width >= smaller or smaller <= _SMALL:
        return weights
    W2 = np.asarray(np.linalg.qr(weights.W2, mode="r"))
    W1 = np.asarray(np.linalg.qr(weights.W1.T, mode="r")).T
    return Weights(np.ascontiguousarray(W1), W2)


# A square loses half of the digits of what is small: an SVD is taken where a value is below 3e-6 of the largest.
_SQUARED = 1e-11
_SMALL = 16  # up to this size a QR factorization costs what it saves


def _squares_well(A: Array) -> bool:
    return A.dtype == np.float64 and A.shape[0] >= A.shape[1]


def _singular_vectors(A: Array) -> tuple[Array, Array, Array]:
    """U, s, V of A = U diag(s) V^T, by A^T A = V diag(s^2) V^T: at d = 200 in 0.4 of the time of an SVD."""
    if _squares_well(A):
        squares, V = np.linalg.eigh(A.T @ A)
        if squares[0] > _SQUARED * squares[-1]:
            s, V = np.sqrt(squares[::-1]), V[:, ::-1]
            return (A @ V) / s, s, V
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    return U, s, Vt.T


def mode_balance(s: Array, rates: Array) -> Array:
    """b_i = 2 s_i/(u_i^T C2 u_i + v_i^T C1 v_i), of singular values and `mode_rates` of the same modes."""
    balance: Array = np.divide(2 * s, rates, out=np.zeros_like(rates), where=rates > 0)
    return np.minimum(balance, 1)  # Cauchy-Schwarz, up to rounding


def average_mode_rate(weights: Weights) -> float:
    """tr C1/d_in + tr C2/d_out: the mean of u^T C2 u + v^T C1 v over all directions."""
    return mean_square(weights.W1) * weights.width + mean_square(weights.W2) * weights.width


def mode_speed_up(weights: Weights, task: Task, initial_rate: float) -> Array:
    """kappa_i = (u_i^T C2 u_i + v_i^T C1 v_i)/initial_rate, u_i and v_i the singular vectors of Y.

    The mode's own learning rate now against `average_mode_rate` at the start: 1 where the kernel never moved for it
    (lazy), in theory sqrt(1 + s^2/c^2). Returns (min(d_in, d_out, width),).
    """
    U, _, V = task.solution_svd
    n = min(U.shape[1], weights.width)
    dtype = weights.W1.dtype
    rates = mode_rates(weights, U[:, :n].astype(dtype), V[:, :n].astype(dtype))
    speed_up: Array = rates / initial_rate
    return speed_up
