"""Speed held by counts instead of clocks: gradient evaluations a run, and allocations a step."""

import tracemalloc

import numpy as np
import pytest

from linphase import Initialization
from linphase.config.config import parse_config
from linphase.dynamics.gradient_descent import GradientDescent
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import gaussian_start
from linphase.model.observables import mean_square
from linphase.runs.minimum import MinimumAtSteps, MinimumBetweenSteps
from linphase.runs.stopping import Measured, PaperRule, WithinExcess
from linphase.runs.training import train_spec


def test_gradient_evaluations_of_a_flow_over_the_whole_window():
    config = parse_config(
        {
            "name": "counts",
            "task": {"dimension": 32, "rank": 3},
            "grid": {
                "gamma_sigma2": {"start": -3.0, "stop": 0.0, "num": 7},
                "gamma_w": {"start": 0.0, "stop": 2.8, "num": 8},
            },
            "record": {"snapshots": 2},
        }
    )
    evaluations = np.array([train_spec(spec).gradient_evaluations for spec in config.expand()])
    # Counted: 141 on average, 91 in the median, 1221 at most. A tenth more would be a loss of speed.
    assert evaluations.mean() < 155
    assert np.median(evaluations) < 100
    assert evaluations.max() < 1343


@pytest.mark.parametrize(
    "dynamics",
    [
        GradientFlow(),
        GradientFlow(stages="float64"),
        GradientDescent(learning_rate="paper", update="simultaneous"),
        GradientDescent(learning_rate="paper", update="alternating"),
        GradientFlow(weight_decay=2.0),
        GradientDescent(weight_decay=2.0),
    ],
    ids=["flow", "flow in double precision", "simultaneous", "alternating", "decaying flow", "decaying descent"],
)
@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_a_step_allocates_nothing_of_the_size_of_a_matrix(dynamics, precision):
    d, steps = 128, 30
    task = draw_task(TaskConfig(dimension=d, rank=4))
    start = Initialization.at(d, gamma_sigma2=-1.5, gamma_w=2.2)
    weights = gaussian_start(start, task.shape).astype(precision)
    watch = (MinimumBetweenSteps if dynamics.continuous else MinimumAtSteps)(task, start.threshold, d)
    rule = WithinExcess(1e-3, 0.0) if dynamics.continuous else PaperRule()
    objective = dynamics.objective(task, d, start)
    noise = (task.target - task.signal).astype(precision)
    deviation = np.empty_like(noise)
    peaks, held = [], 0
    tracemalloc.start()
    try:
        for state, _ in zip(dynamics.states(task, weights, start), range(steps), strict=False):
            peaks.append(tracemalloc.get_traced_memory()[1] - held)
            np.add(state.residual, noise, out=deviation)
            test_error = mean_square(deviation)
            watch.observe(state, deviation, test_error)
            train_error = mean_square(state.residual)
            value = objective.of(state.residual, state.weights, train_error, state.time)
            ended = rule.status(Measured(state.time, train_error, test_error, value))
            # The search for the smallest test error works on copies; it happens once or twice a run.
            tracemalloc.reset_peak()
            held = tracemalloc.get_traced_memory()[0]
            if ended:
                break
    finally:
        tracemalloc.stop()
    assert len(peaks) > 10
    assert max(peaks[3:]) < d * d * np.dtype(precision).itemsize
