"""Means over the last half of a run that ends at a given time: what noisy steps fluctuate about."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_TINY = 1e-300


class LastHalf:
    """Means of the train and the test error from half of the end on.

    Over the steps of descent; over the time of a flow, between whose states an error is taken as exponential.
    """

    def __init__(self, end: float, *, continuous: bool) -> None:
        self.begin, self.continuous = end / 2, continuous
        self.sum, self.weight = np.zeros(2), 0.0
        self.time, self.errors = 0.0, np.full(2, np.nan)  # at the last state

    def observe(self, time: float, train_error: float, test_error: float) -> None:
        """Take in the next state; its test error is nan where there is none."""
        before, self.time = self.time, time
        errors = np.maximum((train_error, test_error), _TINY)
        if time >= self.begin and not self.continuous:
            self.sum += errors
            self.weight += 1
        elif time > self.begin and time > before:
            share = min(1.0, (time - self.begin) / (time - before))  # of the step, in the last half
            fall = share * np.log(self.errors / errors)
            mean = errors * np.where(fall == 0, 1.0, np.expm1(fall) / np.where(fall == 0, 1.0, fall))
            self.sum += share * (time - before) * mean
            self.weight += share * (time - before)
        self.errors = errors

    def means(self) -> tuple[float, float | None]:
        """Those of the train and the test error; None where there is no test error."""
        train_error, test_error = (self.sum / self.weight).tolist()
        return train_error, None if np.isnan(test_error) else test_error


def time_mean(time: Array, values: Array, begin: float) -> Array:
    """The mean over time, from `begin` to the last of the times (n,), of values (n, r) that are linear between them."""
    at_begin = np.array([np.interp(begin, time, each) for each in values.T])
    later = time > begin
    times = np.concatenate([[begin], time[later]])
    mean: Array = np.trapezoid(np.vstack([at_begin, values[later]]), times, axis=0) / (times[-1] - begin)
    return mean
