"""One mode of the self-consistent dynamics with weight decay, whose threshold decays with it.

With decay l of both layers the relations of equation (1) hold with c(t) = c e^(-2 l t), and from A = 0 each mode of the
target goes its own way: ds/dt = 2 sqrt(s^2 + c(t)^2) (S - s) - 2 l s, to S - l where S > l, else to 0.
Source: docs/theory.md, "Weight decay".
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp
from scipy.special import iv, kv

Array = NDArray[np.floating]


def decaying_modes(t: ArrayLike, targets: ArrayLike, c: float, decay: float, start: float = 0.0) -> Array:
    """Singular values s (m, n) at ascending times t (m,), of targets S (n,), threshold c > 0 and decay l >= 0.

    By a multistep method for stiff equations (LSODA), to about 1e-9 of the largest target or threshold it meets.
    """
    times, S = np.asarray(t, np.float64), np.asarray(targets, np.float64)

    def slope(time: float, s: Array) -> Array:
        return np.asarray(2 * np.hypot(s, c * np.exp(-2 * decay * time)) * (S - s) - 2 * decay * s)

    first = np.full_like(S, start)
    tolerance = {"rtol": 1e-10, "atol": 1e-12 * max(float(S.max(initial=0.0)), start)}
    # Modes do not see each other: the Jacobian is a diagonal.
    path = solve_ivp(slope, (0, times[-1]), first, method="LSODA", t_eval=times, lband=0, uband=0, **tolerance)
    return np.asarray(path.y.T)


def decaying_mode(t: ArrayLike, target: float, c: float, decay: float, start: float = 0.0) -> Array:
    """One mode in closed form by Bessel functions, s at times t >= 0, for a decay l > 0.

    With p = s e^(2lt) + sqrt((s e^(2lt))^2 + c^2), z = (c/2l) e^(-2lt) and nu = (S - l)/(2l) the mode's equation is
    Riccati's, and p = e^(2lt) ((S - l) - 2 l z f'(z)/f(z)) with a solution f of Bessel's modified equation of order nu.
    It over- and underflows where z or nu is far above 100: a check of `decaying_modes`, which has no such limits.
    """
    nu, first = (target - decay) / (2 * decay), c / (2 * decay)
    slope_over_value = (target - decay - (start + np.hypot(start, c))) / c  # f'/f where p is that of the start
    of_I = _slope_of_K(nu, first) - slope_over_value * kv(nu, first)
    of_K = slope_over_value * iv(nu, first) - _slope_of_I(nu, first)
    fading = np.exp(-2 * decay * np.asarray(t, np.float64))
    z = first * fading
    value, slope = of_I * iv(nu, z) + of_K * kv(nu, z), of_I * _slope_of_I(nu, z) + of_K * _slope_of_K(nu, z)
    p = (target - decay - 2 * decay * z * slope / value) / fading
    return np.asarray(fading * (p - c * (c / p)) / 2)


def _slope_of_I(nu: float, z: ArrayLike) -> Array:
    return np.asarray((iv(nu - 1, z) + iv(nu + 1, z)) / 2)


def _slope_of_K(nu: float, z: ArrayLike) -> Array:
    return np.asarray(-(kv(nu - 1, z) + kv(nu + 1, z)) / 2)
