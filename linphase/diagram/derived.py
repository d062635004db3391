"""Axes that no configuration has as a key: quantities that follow from those that it has, such as c = sigma2 width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from linphase.config.keys import VARIANCE_KEYS, WIDTH_KEYS
from linphase.diagram.looks import Array
from linphase.store.rows import by_task, draw_seed, scales
from linphase.theory.boundaries import typical_signal_value


@dataclass(frozen=True)
class Derived:
    """A quantity that every run has, as an axis; its values are those that the runs have. Positive: the axis is log."""

    name: str
    label: str  # of the axis, with mathematics
    meaning: str
    of: Callable[[pd.DataFrame], Array]  # rows of a runs table (n,) -> its values (n,)
    replaces: tuple[str, ...]  # the axes of the grid that it stands for: they make no facets beside it


def _over_signal(runs: pd.DataFrame) -> Array:
    """c/s_1 with the typical s_1 = sqrt(||A*||_F^2/k), the same for every draw: replicates stay in one cell."""
    found = np.full(len(runs), np.nan)
    for task, here in by_task(runs):
        found[here] = typical_signal_value(task, draw_seed(task, runs.iloc[here[0]]))
    return np.asarray(_threshold(runs) / found)


def _threshold(runs: pd.DataFrame) -> Array:
    return runs["threshold"].to_numpy(dtype=np.float64)


def _over_dimension(runs: pd.DataFrame) -> Array:
    return np.asarray(runs["width"].to_numpy(dtype=np.float64) / scales(runs))


def _samples_over_dimension(runs: pd.DataFrame) -> Array:
    """n/sqrt(d_out d_in), nan where the loss is that of the population."""
    n = runs["samples"] if "samples" in runs else pd.Series(np.nan, runs.index)
    return np.asarray(n.to_numpy(dtype=np.float64, na_value=np.nan) / scales(runs))


_KNOBS = ("init.richness", "init.variance_ratio", "init.gamma_variance_ratio", "init.lambda_balance")
START = (*VARIANCE_KEYS, *WIDTH_KEYS, *_KNOBS, "dynamics.learning_rate_ratio")
_DIMENSIONS = ("task.dimension", "task.output_dimension")
# One line declares one.
DERIVED = {
    each.name: each
    for each in (
        Derived(
            "c",
            r"threshold $c = \sigma^2\,\mathrm{width}$",
            "sigma2 width, of unequal layers and other scales too",
            _threshold,
            START,
        ),
        Derived(
            "c/s_1",
            "threshold over signal, $c/s_1$",
            "c over sqrt(||A*||_F^2/k), over the median of the k leading values where a task is not isotropic",
            _over_signal,
            START,
        ),
        Derived(
            "width/d",
            r"$\mathrm{width}/d$",
            "width over sqrt(d_out d_in)",
            _over_dimension,
            (*WIDTH_KEYS, *_DIMENSIONS),
        ),
        Derived(
            "n/d",
            r"samples over dimension, $n/d$",
            "samples over sqrt(d_out d_in)",
            _samples_over_dimension,
            ("task.samples", *_DIMENSIONS),
        ),
    )
}
