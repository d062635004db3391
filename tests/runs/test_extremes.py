"""Whatever a configuration accepts ends in a status or in one clear error; warnings are errors in the tests."""

import random

import numpy as np
import pytest

from linphase.config.config import parse_config
from linphase.errors import LinphaseError
from linphase.model.network import Weights
from linphase.model.task import Task
from linphase.runs.records import STATUSES
from linphase.runs.training import train, train_spec

BUDGET = {
    "flow": {"max_evaluations": 200},
    "self_consistent": {"max_evaluations": 60},
    "gd": {"max_steps": 60},
    "modes": {},
}


def extreme(rng):
    """A run whose variance, width, noise and signal lie anywhere that a configuration allows."""
    kind, d = rng.choice(list(BUDGET)), rng.choice([2, 3, 4, 6])
    exponent = rng.choice([rng.uniform(-300, -150), rng.uniform(-30, 20), rng.uniform(-307, 307)])
    noise = rng.choice([0.0, 1.0, 1e-300, 1e-160, 1e-6, 1e9, 10 ** rng.uniform(-300, 9)])
    task = {"dimension": d, "rank": rng.randint(1, d), "noise": noise}
    if rng.random() < 0.3:
        task["signal_norm"] = 10 ** rng.uniform(-18, 18)
    compare = rng.choice(["none", "self_consistent"]) if kind != "modes" else "none"
    return {
        "name": "x", "task": task, "dynamics": {"kind": kind, **BUDGET[kind]}, "record": {"compare": compare},
        "grid": {"init_variance": 10**exponent, "width": rng.choice([1, 2, 3, 5, 50, 10**6, 2**53])},
        "run": {"precision": rng.choice(["float64", "float64", "float32"])},
    }  # fmt: skip


@pytest.mark.parametrize(("seed", "count"), [(60, 60), pytest.param(600, 300, marks=pytest.mark.slow)])
def test_extremes_end_in_a_status_or_one_error(seed, count):
    rng, ended, told = random.Random(seed), 0, []
    for _ in range(count):
        mapping = extreme(rng)
        try:
            for spec in parse_config(mapping).expand():
                assert train_spec(spec).status in STATUSES, mapping
                ended += 1
        except LinphaseError as error:
            told.append(str(error))
    assert ended > count / 3
    assert not [text for text in told if "\n" in text]
    # Whoever trains in double precision already is not told to.
    assert not [text for text in told if "in float64" in text and 'run.precision = "float64"' in text]


def test_stages_that_overflow_are_told_with_the_key_that_helps():
    mapping = {
        "name": "x",
        "task": {"dimension": 2, "rank": 2, "noise": 0.0, "signal_norm": 6e7},
        "grid": {"init_variance": 2.9e19, "width": 2},
        "dynamics": {"max_evaluations": 200},
    }
    (spec,) = parse_config(mapping).expand()
    with pytest.raises(LinphaseError, match=r'overflow in float32. Use dynamics.stages = "float64"'):
        train_spec(spec)
    mapping["dynamics"]["stages"] = "float64"
    (spec,) = parse_config(mapping).expand()
    assert train_spec(spec).status == "step_limit"


@pytest.mark.parametrize("exponent", [18, 20, 22, 24, 30])
def test_weights_beyond_single_precision_train_in_double(exponent):
    mapping = {
        "name": "x",
        "task": {"dimension": 8, "rank": 2},
        "grid": {"init_variance": 10.0**exponent, "width": 32},
        "dynamics": {"max_evaluations": 50},
    }
    (spec,) = parse_config(mapping).expand()
    assert train_spec(spec).status in ("converged", "step_limit")  # A is lost in rounding, and no weight overflows


def test_what_cannot_be_trained_is_told_before_training():
    one = np.ones((1, 1))
    weights = Weights(np.ones((4, 1)), np.ones((1, 4)))
    with pytest.raises(LinphaseError, match=r"^weights: a task of dimension 1 has no exponents; give train the init"):
        train(Task(one, one, 1), weights)
    task = Task(np.zeros((3, 3)), np.eye(3), 1)
    start = Weights(np.ones((4, 3)), np.ones((3, 4)))
    with pytest.raises(LinphaseError, match=r"^task: a signal other than 0 is required to train for, found 0$"):
        train(task, start)
    wide = Weights(*(np.ones(shape, np.longdouble) for shape in ((4, 3), (3, 4))))
    with pytest.raises(LinphaseError, match=r"^weights: float32 or float64 is required, found "):
        train(Task(np.eye(3), np.eye(3), 1), wide)
