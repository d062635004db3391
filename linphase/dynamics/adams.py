"""The Adams predictor-corrector of order 4 for variable steps: two evaluations a step.

The slopes F at the last states are known, F_0 now (time 0), F_{-1} at t_1 < 0, F_{-2} at t_2 < t_1. For a step to
time h the predictor integrates the parabola through the three (Adams-Bashforth 3), and the corrector the cubic through
them and the slope at the predicted point (Adams-Moulton 4). Evaluated once more there, the method is PECE. Its error is
taken as the distance to Adams-Moulton 3, which leaves out F_{-2}.
Source: E. Hairer, S. P. Nørsett, G. Wanner, Solving Ordinary Differential Equations I, 2nd ed. 1993, section III.5.
"""

from linphase.dynamics.workspace import Array, Workspace

STABLE = 1.7  # the largest h rho that is used; on the negative real axis it is stable to 1.9


def of_parabola(h: float, *nodes: float) -> list[float]:
    """b with integral from 0 to h of p = sum of b_i p(node_i), for every parabola p; three nodes."""
    a, b, c = (node / h for node in nodes)  # products of times of 1e-150 would be 0
    return [
        h * _of_two(b, c) / ((a - b) * (a - c)),
        h * _of_two(a, c) / ((b - a) * (b - c)),
        h * _of_two(a, b) / ((c - a) * (c - b)),
    ]


def of_cubic(h: float, *nodes: float) -> list[float]:
    """The same for every cubic; four nodes."""
    a, b, c, d = (node / h for node in nodes)
    return [
        h * _of_three(b, c, d) / ((a - b) * (a - c) * (a - d)),
        h * _of_three(a, c, d) / ((b - a) * (b - c) * (b - d)),
        h * _of_three(a, b, d) / ((c - a) * (c - b) * (c - d)),
        h * _of_three(a, b, c) / ((d - a) * (d - b) * (d - c)),
    ]


def _of_two(a: float, b: float) -> float:
    """The integral from 0 to 1 of (x - a)(x - b) dx."""
    return 1 / 3 - (a + b) / 2 + a * b


def _of_three(a: float, b: float, c: float) -> float:
    """The integral from 0 to 1 of (x - a)(x - b)(x - c) dx."""
    return 1 / 4 - (a + b + c) / 3 + (a * b + a * c + b * c) / 2 - a * b * c


def adams_step(space: Workspace, h: float, t1: float, t2: float) -> Array:
    """z of a step of length h."""
    now, last, earlier = of_parabola(h, 0, t1, t2)
    space.gemv(1, space.columns[:, 1:], (now, 0, 0, last, earlier), 0, space.z, overwrite_y=1)
    space.add_slope_at(space.z, 1, space.F_end, keep=0)
    there, now, last, earlier = of_cubic(h, h, 0, t1, t2)
    space.gemv(1, space.columns[:, 1:], (now, 0, there, last, earlier), 0, space.z, overwrite_y=1)
    return space.z


def adams_error(space: Workspace, h: float, t1: float, t2: float) -> Array:
    """z by Adams-Moulton 4 less z by Adams-Moulton 3, of a step of length h with the slope F_end."""
    fourth, third = of_cubic(h, h, 0, t1, t2), [*of_parabola(h, h, 0, t1), 0.0]
    there, now, last, earlier = (a - b for a, b in zip(fourth, third, strict=True))
    space.gemv(1, space.columns[:, 1:], (now, 0, there, last, earlier), 0, space.error, overwrite_y=1)
    return space.error
