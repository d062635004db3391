"""Section 1: a step of gradient descent against the three matrix products it cannot do without."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import get_blas_funcs

from benchmarks.descent import enough_steps, shorter_and_longer
from benchmarks.report import Finding, Section, Settings, Tables, add
from benchmarks.timing import Work, alternating, extremes, number
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization
from linphase.model.threads import one_blas_thread

Array = NDArray[Any]
BARS = {500: 0.90, 200: 0.80}


def bare_products(d: int, dtype: DTypeLike) -> dict[str, Work]:
    """Every way to compute W2 W1, W2^T G and G W1^T once, at width 2 d, that is asked which is fastest.

    The arrays of a step in each memory order, through numpy (out=) and through BLAS's own gemm, which accumulates the
    last two onto the weights as a step does. The factor 1e-12 keeps the weights where they are.
    """
    ways: dict[str, Work] = {}
    rng = np.random.default_rng(0)
    drawn = [rng.standard_normal(shape).astype(dtype) for shape in ((2 * d, d), (d, 2 * d), (d, d))]
    for orders in product((np.ascontiguousarray, np.asfortranarray), repeat=3):
        W1, W2, G = (order(array.copy()) for array, order in zip(drawn, orders, strict=True))
        name = "".join("F" if order is np.asfortranarray else "C" for order in orders)
        D1, D2 = np.empty_like(W1), np.empty_like(W2)
        ways[f"numpy, {name}"] = _in_turn(
            [
                partial(np.matmul, W2, W1, out=G),
                partial(np.matmul, W2.T, G, out=D1),
                partial(np.matmul, G, W1.T, out=D2),
            ]
        )
        ways[f"gemm, {name}"] = _in_turn(
            [_gemm(1, W2, W1, 0, G), _gemm(-1e-12, W2.T, G, 1, W1), _gemm(-1e-12, G, W1.T, 1, W2)]
        )
    return ways


def _in_turn(calls: list[Callable[[], object]]) -> Work:
    def work() -> None:
        for call in calls:
            call()

    return work


def _gemm(alpha: float, A: Array, B: Array, beta: float, C: Array) -> Work:
    """C <- alpha A B + beta C in place, whatever the orders; BLAS wants columns first, else everything transposed."""
    if not C.flags.f_contiguous:
        A, B, C = B.T, A.T, C.T
    (gemm,) = get_blas_funcs(["gemm"], [A, B])
    (a, trans_a), (b, trans_b) = ((X, 0) if X.flags.f_contiguous else (X.T, 1) for X in (A, B))
    return partial(gemm, alpha, a, b, beta, C, trans_a=trans_a, trans_b=trans_b, overwrite_c=1)


def fastest(ways: dict[str, Work], repeats: int) -> str:
    """The name of the way with the smallest median time."""
    times = np.median(alternating(repeats, ways.values()), axis=0)
    return list(ways)[int(np.argmin(times))]


def measure(settings: Settings) -> Finding:
    """The rate of a step over that of the bare products, d = 500 and 200, both precisions."""
    tables: Tables = {}
    numbers, met = {}, True
    with one_blas_thread():
        for d, bar in zip((40, 20) if settings.quick else BARS, BARS.values(), strict=True):
            for dtype in (np.float64, np.float32):
                task = draw_task(TaskConfig(dimension=d, rank=5))
                start = Initialization.at(d, gamma_sigma2=-1.5, gamma_w=2.0)
                steps = enough_steps(task, start, 0.05 if settings.quick else 2)
                repeats = 2 if settings.quick else 9
                ways = bare_products(d, dtype)
                way = fastest(ways, 3 if settings.quick else 21)
                bare = _in_turn([ways[way]] * steps)
                short, long, products = alternating(repeats, [*shorter_and_longer(task, start, dtype, steps), bare]).T
                rate = extremes(products / (long - short))
                met &= rate.median >= bar
                numbers[f"d = {d}, {np.dtype(dtype)}"] = rate.median
                row = {
                    "d": str(d),
                    "precision": str(np.dtype(dtype)),
                    "rate of a step / of the products": str(rate),
                    "bar": str(bar),
                    "fastest products (order of W1, W2, G)": way,
                    "products, ms": number(float(np.median(products)) / steps * 1e3),
                    "step, ms": number(float(np.median(long - short)) / steps * 1e3),
                }
                add(tables, "Rate of a whole step over that of its three products alone", row)
    result = "; ".join(f"{name}: {value:.2f}" for name, value in numbers.items())
    return Finding(result, met, tables, numbers)


SECTION = Section(
    title="A step of gradient descent against bare BLAS",
    measured="""The real `linphase.train` (simultaneous update, a stop rule that does not fire, two snapshots) at width
d^2, reduced to 2 d: the time of a long training minus that of a short one, over the steps between. So both errors, the
stop rule, the watch for the smallest test error and the recorder's look at every step count. Against it the three
products W2 W1, W2^T G, G W1^T alone, in the fastest of 16 ways: each array stored by rows or columns, numpy's matmul with
`out=` or BLAS's gemm accumulating onto the weights.""",
    bar="at least 0.90 of their rate at d = 500 and 0.80 at d = 200, both precisions, one thread",
    measure=measure,
)
