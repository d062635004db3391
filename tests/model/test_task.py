import re

import numpy as np
import pytest

import linphase
from linphase.errors import ConfigError, LinphaseError
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization, gaussian_start
from linphase.model.task import Task
from linphase.runs.training import train
from linphase.store.columns import runs_columns

Y = np.random.default_rng(0).standard_normal((4, 7))


def test_a_task_is_drawn_of_keys_as_of_their_configuration():
    np.testing.assert_array_equal(
        linphase.draw_task(dimension=9, rank=2, seed=3).target,
        draw_task(TaskConfig(dimension=9, rank=2), seed=3).target,
    )
    with pytest.raises(ConfigError, match="rank must be an integer of at least 1"):
        linphase.draw_task(dimension=9, rank=0)
    with pytest.raises(LinphaseError, match="a TaskConfig or keys of one are required, found both: rank"):
        draw_task(TaskConfig(), rank=2)


def test_lists_and_integers_make_the_same_task_as_their_floats():
    rounded = np.rint(10 * Y).astype(int)
    for given in (rounded, rounded.tolist(), rounded.astype(np.int8)):
        task = Task(given, given, 2)
        assert task.target.dtype == np.float64
        np.testing.assert_array_equal(task.target, rounded)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target": None}, "target must be a matrix (d_out, d_in) of numbers, found None"),
        (
            {"signal": [[1.0], [1.0, 2.0]]},
            "signal must be a matrix (d_out, d_in) of numbers, found [[1.0], [1.0, 2.0]]",
        ),
        ({"signal": Y[0]}, "signal must be a matrix (d_out, d_in) of numbers, found an array of shape (7,)"),
        ({"target": Y.astype(str)}, "target must be a matrix (d_out, d_in) of numbers, found an array of shape (4, 7)"),
        ({"target": Y[:0]}, "target must be a matrix (d_out, d_in) of numbers, found an array of shape (0, 7)"),
        ({"target": np.where(Y > 1, np.nan, Y)}, "target must be finite, found NaN or infinity"),
        ({"signal": Y.T}, "signal and target must be matrices of one shape (d_out, d_in), found (7, 4) and (4, 7)"),
        ({"rank": 5}, "rank must be from 1 to the smaller dimension, 4, found 5"),
        ({"rank": 2.0}, "rank must be an integer, found 2.0"),
        ({"rank": None}, "rank must be an integer, found None"),
    ],
)
def test_what_is_no_task_is_told_by_the_name_of_the_argument(change, told):
    with pytest.raises(LinphaseError, match=re.escape(told)):
        Task(**{"signal": Y, "target": Y, "rank": 2, **change})


def test_the_gradient_is_that_of_differences():
    task, rng, h = Task(Y, Y, 2), np.random.default_rng(1), 1e-6
    W2, W1 = rng.standard_normal((4, 3)), rng.standard_normal((3, 7))
    by_W2, by_W1 = task.gradient(W2, W1)

    def loss(W2, W1):
        return np.sum((W2 @ W1 - Y) ** 2) / 2

    D2, D1 = rng.standard_normal(W2.shape), rng.standard_normal(W1.shape)
    along = (loss(W2 + h * D2, W1 + h * D1) - loss(W2 - h * D2, W1 - h * D1)) / (2 * h)
    assert np.sum(by_W2 * D2) + np.sum(by_W1 * D1) == pytest.approx(along, rel=1e-7)  # error h^2


def test_the_row_of_a_run_has_the_stored_columns_that_nobody_asked_for():
    task = draw_task(dimension=8, rank=2)
    start = Initialization.at(8, gamma_sigma2=-1.0, gamma_w=1.5)
    row = train(task, gaussian_start(start, task.shape)).row()
    asked_for = {"run_id", "threshold"} | {column.name for column in runs_columns() if column.key is not None}
    of_the_machine = {"plugin", "observables", "numerics_version", "linphase_version", "python_version"}
    of_the_machine |= {"numpy_version", "scipy_version", "blas", "cpu"}
    assert row.keys() == {column.name for column in runs_columns()} - asked_for - of_the_machine
    assert row["converged"]
