"""Curves over time averaged over the replicates of a cell, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from linphase.diagram.looks import Array
from linphase.diagram.measured import FEWEST, LEVEL
from linphase.errors import LinphaseError
from linphase.runs.beside import Evolution
from linphase.runs.records import Trajectory

_MOMENTS = 200


@dataclass(frozen=True)
class Mean:
    """Geometric means with the ends of their 95 % intervals, three arrays of one shape."""

    value: Array
    low: Array  # nan of fewer than three replicates
    high: Array


@dataclass(frozen=True)
class MeanCurves:
    """The curves of a cell; n moments, r modes."""

    time: Array  # (n,)
    train: Mean  # (n,)
    test: Mean  # (n,)
    modes: Mean  # (n, r)


def common_times(runs: Sequence[Trajectory]) -> Array:
    """Moments that every run covers, evenly on a logarithmic axis: from the last of their first moments after 0 on.

    They end where the shortest run ends, so that nothing is extrapolated.

    Parameters
    ----------
    runs
        Replicates, each with times of its own.

    Returns
    -------
    Array
        (200,) times.

    Raises
    ------
    LinphaseError
        If there is no moment that all of them cover.
    """
    spans = [run.time[np.isfinite(run.time) & (run.time > 0)] for run in runs]
    first = max((time.min(initial=np.inf) for time in spans), default=np.inf)
    last = min((time.max(initial=0.0) for time in spans), default=0.0)
    if first > last:
        raise LinphaseError(
            f"the mean over {len(runs)} replicates: all must cover some moment after 0, found none that they share. "
            "Draw one of them with --where replicate=0"
        )
    return np.geomspace(first, last, _MOMENTS)


def mean_curves(runs: Sequence[Trajectory | Evolution], time: Array) -> MeanCurves:
    """The geometric mean of every curve, with its 95 % interval by Student's t from three replicates on.

    Each curve is taken at the times as the logarithm of its values, linear in the logarithm of time between the moments
    kept. mean = exp(m), interval exp(m -+ t s/sqrt(n)), of the mean m and the standard deviation s of the logarithms.

    Parameters
    ----------
    runs
        n replicates, or theory of each; of modes those that all have are kept.
    time
        Of `common_times`.

    Examples
    --------
    >>> curves = mean_curves(trajectories, common_times(trajectories))
    """
    modes = min(run.singular_values.shape[1] for run in runs)
    train, test, s = (
        _mean(np.stack([_logs(run.time, values, time) for run, values in zip(runs, every, strict=True)]))
        for every in (
            [run.train_error for run in runs],
            [run.test_error for run in runs],
            [run.singular_values[:, :modes] for run in runs],
        )
    )
    return MeanCurves(time, train, test, s)


def _logs(moments: NDArray[np.floating], values: NDArray[np.floating], time: Array) -> Array:
    """The logarithm of values (n,) or (n, r) at times; nan beside a value that has none."""
    seen = np.isfinite(moments) & (moments > 0)
    kept = np.asarray(values[seen], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(np.isfinite(kept) & (kept > 0), kept, np.nan))
    at, known = np.log(time), np.log(moments[seen])
    columns = [np.interp(at, known, each) for each in logs.reshape(len(logs), -1).T]
    return np.stack(columns, axis=-1).reshape(len(time), *logs.shape[1:])


def _mean(logs: Array) -> Mean:
    """Over the first axis."""
    n, center = len(logs), logs.mean(axis=0)
    if n < FEWEST:
        nothing = np.full_like(center, np.nan)
        return Mean(np.exp(center), nothing, nothing)
    half = stdtrit(n - 1, (1 + LEVEL) / 2) * logs.std(axis=0, ddof=1) / sqrt(n)
    return Mean(np.exp(center), np.exp(center - half), np.exp(center + half))
