"""The Runge-Kutta-Chebyshev method of order 2: as many evaluations a step as its length asks for.

Source: B. P. Sommeijer, L. F. Shampine, J. G. Verwer, RKC: an explicit solver for parabolic PDEs, J. Comput. Appl.
Math. 88 (1998) 315-326, section 2. With F_j = F(Y_j), Y_0 = y and step h,

    Y_1 = Y_0 + mu_tilde_1 h F_0,
    Y_j = (1 - mu_j - nu_j) Y_0 + mu_j Y_{j-1} + nu_j Y_{j-2} + mu_tilde_j h F_{j-1} + gamma_tilde_j h F_0,

and Y_s is the solution after the step. s stages are stable for real negative eigenvalues down to -beta(s)/h. The steps
themselves are made of z_j = Y_j - Y_0, for which Y_0 drops out of the sum.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from linphase.dynamics.workspace import Array, Workspace

_DAMPING = 2 / 13


@dataclass(frozen=True)
class Stages:
    """Coefficients of an s-stage step; entry j belongs to stage j, entries below j = 2 are unused but mu_tilde[1]."""

    mu: NDArray[np.float64]
    nu: NDArray[np.float64]
    mu_tilde: NDArray[np.float64]
    gamma_tilde: NDArray[np.float64]


def stability_bound(s: int) -> float:
    """beta(s): the step h is stable for eigenvalues in [-beta(s)/h, 0]."""
    return 2 / 3 * (s * s - 1) * (1 - 2 / 15 * _DAMPING)


def stages_for(h_rho: float) -> int:
    """The fewest stages, at least 2, that are stable for step times spectral radius h_rho."""
    return max(2, ceil(sqrt(1 + h_rho / stability_bound(2) * 3)))


@lru_cache(maxsize=1024)
def stages(s: int) -> Stages:
    """Coefficients for s >= 2 stages."""
    w0 = 1 + _DAMPING / s**2
    # Chebyshev polynomials T_j(w0) and their first two derivatives, by T_j = 2 w0 T_{j-1} - T_{j-2}.
    T, dT, ddT = np.zeros((3, s + 1))
    T[:2], dT[1] = (1, w0), 1
    for j in range(2, s + 1):
        T[j] = 2 * w0 * T[j - 1] - T[j - 2]
        dT[j] = 2 * T[j - 1] + 2 * w0 * dT[j - 1] - dT[j - 2]
        ddT[j] = 4 * dT[j - 1] + 2 * w0 * ddT[j - 1] - ddT[j - 2]
    w1 = dT[s] / ddT[s]
    b = np.empty(s + 1)
    b[2:] = ddT[2:] / dT[2:] ** 2
    b[0], b[1] = b[2], 1 / w0
    a = 1 - b * T

    mu, nu, mu_tilde, gamma_tilde = np.zeros((4, s + 1))
    mu_tilde[1] = b[1] * w1
    mu[2:] = 2 * w0 * b[2:] / b[1:-1]
    nu[2:] = -b[2:] / b[:-2]
    mu_tilde[2:] = 2 * w1 * b[2:] / b[1:-1]
    gamma_tilde[2:] = -a[1:-1] * mu_tilde[2:]
    return Stages(mu, nu, mu_tilde, gamma_tilde)


@lru_cache(maxsize=1024)
def error_gain(s: int) -> float:
    """How much longer than that of 2 stages a step may be for the same error of its linear part.

    The stability polynomial is exp(z) up to z^2; its coefficient of z^3, 1/6 - e, tells the error e z^3.
    Returns sqrt((1/6)/e), at least 1.
    """
    k = stages(s)
    before, last = np.array([1.0]), np.array([1.0, k.mu_tilde[1]])
    for j in range(2, s + 1):
        new = polynomial.polyadd(k.mu[j] * last, k.nu[j] * before)
        new = polynomial.polyadd(new, k.mu_tilde[j] * polynomial.polymulx(last))
        before, last = last, polynomial.polyadd(new, [1 - k.mu[j] - k.nu[j], k.gamma_tilde[j]])
    cubic = last[3] if len(last) > 3 else 0.0
    return sqrt((1 / 6) / (1 / 6 - cubic))


def chebyshev_step(space: Workspace, h: float, s: int) -> Array:
    """z of a step of length h by s stages."""
    k = stages(s)
    before, last = space.z_before, space.z  # z_{j-2}, z_{j-1}
    np.multiply(space.F_start, float(k.mu_tilde[1]) * h, out=last)
    for j in range(2, s + 1):
        mu, nu, on_start = k.mu[j], k.nu[j] if j > 2 else 0.0, k.gamma_tilde[j] * h  # z_0 = 0
        if last is space.z:
            columns, weights = space.columns[:, :2], (mu, on_start)
        else:
            columns, weights = space.columns[:, 1:3], (on_start, mu)
        space.gemv(1, columns, weights, nu, before, overwrite_y=1)
        space.add_slope_at(last, k.mu_tilde[j] * h, before)
        before, last = last, before
    return last


def chebyshev_error(space: Workspace, z: Array, h: float) -> Array:
    """-0.8 z + 0.4 h (F_start + F_end), the error of a step of length h by z (RKC, section 3.1)."""
    first, second = (-0.8, 0.0) if z is space.z else (0.0, -0.8)
    space.gemv(1, space.columns[:, :4], (first, 0.4 * h, second, 0.4 * h), 0, space.error, overwrite_y=1)
    return space.error
