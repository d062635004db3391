"""Axes that no configuration has as a key: quantities that follow from those that it has, such as c = sigma2 width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from linphase.config.keys import VARIANCE_KEYS, WIDTH_KEYS
from linphase.diagram.looks import Array
from linphase.model.starts import Init
from linphase.store.rows import by_task, draw_seed, scales, self_consistent_starts
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


_RATES = "dynamics.learning_rate_ratio"
START = (*VARIANCE_KEYS, *WIDTH_KEYS)
_OF_THRESHOLD = (*START, *(f"init.{key}" for each in Init.members.values() for key in each.model_fields), _RATES)
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
            _OF_THRESHOLD,
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


# --- Other starts than equal Gaussian layers ------------------------------------------------------------------------

SAME = 1e-9  # of logarithms: smaller differences are rounding
_USUAL = {"init_kind": Init.default, "richness": 1.0, "variance_ratio": 1.0, "learning_rate_ratio": 1.0}  # by column


def shifts(runs: pd.DataFrame) -> tuple[Array, Array]:
    """Of every run (n,): log of c/(sigma2 width), and of the variance of its start over sigma2; 0 without knobs.

    The first is nan where c bounds nothing, as equation (1) does not describe the start.

    By these theory's lines of c, and that of infinite noise, lie elsewhere than at equal layers and scale 1
    (docs/theory.md, "Knobs of the start").
    """
    told = [runs[name].isna() | (runs[name] == usual) for name, usual in _USUAL.items() if name in runs]
    usual = np.all(told, axis=0) if told else np.ones(len(runs), dtype=bool)
    if usual.all():
        return np.zeros(len(runs)), np.zeros(len(runs))
    sigma2, width, c = (runs[name].to_numpy(dtype=np.float64) for name in ("init_variance", "width", "threshold"))
    richness = runs["richness"] if "richness" in runs else pd.Series(1.0, runs.index)
    with np.errstate(divide="ignore", over="ignore"):
        of_threshold = np.where(usual, 0.0, np.log(c) - np.log(sigma2) - np.log(width))
    of_threshold[np.abs(of_threshold) < SAME] = 0.0
    of_threshold[~self_consistent_starts(runs)] = np.nan
    return of_threshold, -np.log(richness.to_numpy(dtype=np.float64, na_value=1.0))


def decays(runs: pd.DataFrame) -> Array:
    """Of every run (n,): l = sqrt(l1 l2) of the decays of the layers at equal rates and gamma = 1."""
    told = (runs[name] if name in runs else pd.Series(np.nan, runs.index) for name in ("weight_decay", "richness"))
    decay, richness = (each.to_numpy(dtype=np.float64, na_value=np.nan) for each in told)
    return np.asarray(np.nan_to_num(decay) * np.where(np.isnan(richness), 1.0, richness))
