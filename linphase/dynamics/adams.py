"""The Adams predictor-corrector of order 4 for variable steps: two evaluations a step.

The slopes F at the last states are known, F_0 now (time 0), F_{-1} at t_1 < 0, F_{-2} at t_2 < t_1. For a step to
time h the predictor integrates the parabola through the three (Adams-Bashforth 3), and the corrector the cubic through
them and the slope at the predicted point (Adams-Moulton 4). Evaluated once more there, the method is PECE. Its error is
taken as the distance to Adams-Moulton 3, which leaves out F_{-2}.
Source: E. Hairer, S. P. Nørsett, G. Wanner, Solving Ordinary Differential Equations I, 2nd ed. 1993, section III.5.
"""

from collections.abc import Sequence

from linphase.dynamics.workspace import Array, Workspace

STABLE = 1.7  # the largest h rho that is used; on the negative real axis it is stable to 1.9


def integrals(times: Sequence[float], h: float) -> list[float]:
    """b with integral from 0 to h of p = sum of b_i p(times_i), for every polynomial p of degree below len(times)."""
    found = []
    for i, node in enumerate(times):
        polynomial = [1.0]  # the Lagrange polynomial of this node, ascending
        for j, other in enumerate(times):
            if j != i:
                scale = 1 / (node - other)
                shifted = [0.0, *(scale * a for a in polynomial)]
                for k, a in enumerate(polynomial):
                    shifted[k] -= scale * other * a
                polynomial = shifted
        found.append(sum(a * h ** (k + 1) / (k + 1) for k, a in enumerate(polynomial)))
    return found


def adams_step(space: Workspace, h: float, t1: float, t2: float) -> Array:
    """z of a step of length h."""
    now, last, earlier = integrals((0, t1, t2), h)
    space.gemv(1, space.columns[:, 1:], (now, 0, 0, last, earlier), 0, space.z, overwrite_y=1)
    space.add_slope_at(space.z, 1, space.F_end, keep=0)
    there, now, last, earlier = integrals((h, 0, t1, t2), h)
    space.gemv(1, space.columns[:, 1:], (now, 0, there, last, earlier), 0, space.z, overwrite_y=1)
    return space.z


def adams_error(space: Workspace, h: float, t1: float, t2: float) -> Array:
    """z by Adams-Moulton 4 less z by Adams-Moulton 3, of a step of length h with the slope F_end."""
    fourth, third = integrals((h, 0, t1, t2), h), [*integrals((h, 0, t1), h), 0.0]
    there, now, last, earlier = (a - b for a, b in zip(fourth, third, strict=True))
    space.gemv(1, space.columns[:, 1:], (now, 0, there, last, earlier), 0, space.error, overwrite_y=1)
    return space.error
