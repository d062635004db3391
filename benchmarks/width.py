"""Section 2: what a step costs at width 10^12 and at 10^4."""

from functools import partial

import numpy as np

from benchmarks.descent import enough_steps, shorter_and_longer
from benchmarks.report import Finding, Section, Settings, Tables, add
from benchmarks.timing import alternating, extremes, number
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization, gaussian_start
from linphase.model.threads import one_blas_thread

WIDTHS = (10**12, 10**4)
TOLERANCE = 0.05


def measure(settings: Settings) -> Finding:
    """Time at width 10^12 over that at 10^4, of a step and of drawing the start, at the same c."""
    d, repeats = (20, 3) if settings.quick else (200, 15)
    task = draw_task(TaskConfig(dimension=d, rank=5))
    starts = [Initialization.at(d, init_variance=d**0.5 / width, width=width) for width in WIDTHS]
    steps = enough_steps(task, starts[0], 0.05 if settings.quick else 1)
    tables: Tables = {}
    with one_blas_thread():
        trainings = [work for start in starts for work in shorter_and_longer(task, start, np.float64, steps)]
        draws = [partial(gaussian_start, start, task.shape) for start in starts]
        times = alternating(repeats, [*trainings, *draws])
    wide, narrow = ((times[:, 1] - times[:, 0]) / steps, (times[:, 3] - times[:, 2]) / steps)
    for name, above, below in (
        ("a step of gradient descent", wide, narrow),
        ("a training of 5 steps, from start to result", times[:, 0], times[:, 2]),
        ("drawing the start", times[:, 4], times[:, 5]),
    ):
        row = {
            "": name,
            "10^12 / 10^4": str(extremes(above / below)),
            "at 10^12, ms": number(float(np.median(above)) * 1e3),
            "at 10^4, ms": number(float(np.median(below)) * 1e3),
        }
        add(tables, f"d = {d}, {repeats} repeats", row)
    ratio = extremes(wide / narrow)
    result = f"{ratio} a step"
    return Finding(result, abs(ratio.median - 1) <= TOLERANCE, tables, {"step": ratio.median})


SECTION = Section(
    title="Cost independent of the width",
    measured="""Gradient descent at d = 200, float64, at width 10^12 and at width 10^4 with the same c = sqrt(d): the time
of a step in the real `linphase.train` (as in section 1), and that of drawing the start.""",
    bar="1.0 ± 0.05 a step",
    measure=measure,
)
