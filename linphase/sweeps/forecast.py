"""How long a sweep still takes: the estimated cost of its runs, corrected by what the finished ones took."""

import time
from collections.abc import Callable, Hashable, Mapping

import numpy as np
from numpy.typing import NDArray

from linphase.runs.spec import RunSpec
from linphase.sweeps.plan import estimated_flops, flops_per_second

_BINS = 8  # of variances and of widths, where they are crossed with the facets
_REFIT = 2.0  # seconds between two corrections


class RunTimes:
    """What runs take, in seconds of one core: estimate times factors, learned from the runs that are done.

    There is a factor for all runs, for every facet, variance and width, and for facets crossed with variances and
    widths: what a rough estimate misses hangs on these. A factor is the time that was taken over the time that was
    expected, drawn towards 1 as if a few runs (`prior`) had taken what was expected of them.
    """

    def __init__(self, specs: Mapping[str, RunSpec], rate: float) -> None:
        """specs: the runs to do, by id; rate: floating-point operations a second."""
        self._places = {run_id: place for place, run_id in enumerate(specs)}
        self._base = np.array([estimated_flops(spec) / rate for spec in specs.values()])
        self._taken = np.full(len(specs), np.nan)
        self._left = np.ones(len(specs), dtype=bool)
        facets = _numbered(specs, lambda spec: (id(spec.task), id(spec.dynamics), id(spec.stop)))
        variances = _numbered(specs, lambda spec: spec.initialization.gamma_sigma2)
        widths = _numbered(specs, lambda spec: spec.initialization.gamma_w)
        self._groups = [
            (0.5, np.zeros(len(specs), dtype=np.int64)),
            (1.0, facets),
            (1.0, variances),
            (1.0, widths),
            (2.0, facets * _BINS + _binned(variances)),
            (2.0, facets * _BINS + _binned(widths)),
        ]
        self._expected = self._base

    def done(self, run_id: str, seconds: float) -> bool:
        """Note that a run is done and, unless nan, what it took; whether it is one of the runs to do."""
        place = self._places.get(run_id)
        if place is not None:
            self._left[place], self._taken[place] = False, seconds
        return place is not None

    def learn(self) -> None:
        """Correct what is expected by what was taken so far."""
        known = np.flatnonzero(np.isfinite(self._taken))
        taken, expected = self._taken[known], self._base.copy()
        factors = [np.ones(int(group.max()) + 1) for _, group in self._groups]
        for _ in range(3):
            for i, (prior, group) in enumerate(self._groups):
                level, before = group[known], factors[i]
                size = before.size
                count = np.bincount(level, minlength=size)
                was = np.bincount(level, expected[known] / before[level], minlength=size)
                ratio = np.bincount(level, taken, minlength=size) / np.where(count > 0, was, 1)
                factors[i] = (count * ratio + prior) / (count + prior)
                expected *= (factors[i] / before)[group]
        self._expected = expected

    def left(self) -> float:
        """Seconds of one core for the runs that are not done."""
        return float(self._expected[self._left].sum())

    def longest(self) -> float:
        """Seconds of the longest run that is not done."""
        return float(self._expected[self._left].max(initial=0.0))


def _numbered(specs: Mapping[str, RunSpec], key: Callable[[RunSpec], Hashable]) -> NDArray[np.int64]:
    """The place of each run's key among all keys, in their order where they have one."""
    keys = [key(spec) for spec in specs.values()]
    try:
        order = {each: place for place, each in enumerate(sorted(set(keys)))}  # type: ignore[type-var]
    except TypeError:
        order = {each: place for place, each in enumerate(dict.fromkeys(keys))}
    return np.array([order[each] for each in keys], dtype=np.int64)


def _binned(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return numbers * _BINS // (int(numbers.max(initial=0)) + 1)


class Forecast:
    """The time left of a sweep, from its first second on.

    Workers that are not there yet count as no speed, and what they have in hand as done in part: of the seconds of all
    workers, those that no finished batch took.
    """

    def __init__(
        self,
        specs: Mapping[str, RunSpec],
        workers: int,
        rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """specs: the runs to do, by id; workers: how many there will be; rate: floating-point operations a second."""
        self._clock, self._workers = clock, max(1, workers)
        self._times = RunTimes(specs, flops_per_second() if rate is None else rate)
        self._began: float | None = None  # when workers were there
        self._training, self._batches, self._longest = 0.0, 0.0, 0.0  # seconds of runs; of batches; of one batch
        self._learned = -np.inf  # when

    def begin(self, workers: int) -> None:
        """Note that workers are there."""
        self._began, self._workers = self._clock(), max(1, workers)

    def landed(self, seconds: float) -> None:
        """Note what a batch took in its worker."""
        self._batches += seconds
        self._longest = max(self._longest, seconds)

    def done(self, run_id: str, seconds: float) -> None:
        """Note that a run is done, and what its training took; nan where that is not known."""
        if self._times.done(run_id, seconds):
            self._training += 0.0 if np.isnan(seconds) else seconds

    def seconds(self) -> float:
        """Seconds until the sweep is done."""
        now = self._clock()
        if self._training and now - self._learned > _REFIT:
            self._learned = now
            self._times.learn()
        worked = 0.0 if self._began is None else now - self._began
        # Of what one worker's time went to, training; the rest is drawing tasks and writing files.
        share = (self._training + 1) / (max(self._batches, self._training) + 1)
        in_batches = self._batches / self._workers
        # Longer than this no batch is in flight: then workers wait for work.
        flying = min(max(0.0, worked - in_batches), max(self._longest, 2 * self._times.longest() / share))
        busy = (in_batches + 1) / (max(worked - flying, in_batches) + 1)
        return max(0.0, (self._times.left() / share / self._workers - flying) / busy)
