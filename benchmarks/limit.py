"""The closed form at any d, no matrix drawn: k signal modes, and a bulk by the quarter circle."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.optimize import minimize_scalar

from linphase.theory.mode import modes_from_zero

_NODES = 4000


@dataclass(frozen=True)
class Limit:
    """Equation (1) from A = 0 at its smallest test error."""

    min_test_error: float
    time_at_min: float
    stable_rank: float


def closed_form(d: float, c: float, rank: int = 5) -> Limit:
    """The smallest test error at threshold c, noise 1: S = s + d/s with s = d/sqrt(k), bulk on [0, 2 sqrt(d)]."""
    s = d / sqrt(rank)
    x = (np.arange(_NODES) + 0.5) * np.pi / (2 * _NODES)
    bulk = 2 * sqrt(d) * np.sin(x)  # density sqrt(4 d - S^2)/(pi d): 4 cos^2 x/pi over x
    count = np.concatenate([[rank], (d - rank) * 4 * np.cos(x) ** 2 / np.pi * (np.pi / (2 * _NODES))])
    S = np.concatenate([[s + d / s], bulk])
    overlap = np.concatenate([[s * (1 - d / s**2)], np.zeros(_NODES)])
    unseen = rank * (s**2 - overlap[0] ** 2)

    def values(log_time: float) -> np.ndarray:
        return np.asarray(modes_from_zero(np.array([np.exp(log_time)]), S, c)[0])

    def error(log_time: float) -> float:
        return float((unseen + np.sum(count * (values(log_time) - overlap) ** 2)) / d**2)

    grid = np.linspace(-7, 4, 400) - np.log(2 * np.hypot(S[0], c))
    best = int(np.argmin([error(each) for each in grid]))
    found = minimize_scalar(error, bounds=(grid[best - 1], grid[best + 1]), method="bounded", options={"xatol": 1e-10})
    at = values(found.x)
    return Limit(float(found.fun), float(np.exp(found.x)), float(np.sum(count * at**2) / at.max() ** 2))
