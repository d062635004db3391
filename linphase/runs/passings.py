"""Where the singular values of the signal pass a level, and how they bend there (docs/theory.md, "Observables").

Between two kept moments heights are taken as cubic in time (`linphase.model.mode_times`). Where a mode passes a level
and the cubic and the straight line part, as where two singular values avoid each other, the singular values are taken
between the moments too: those of A(t) as the cubic through the four states around.
"""

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from linphase.dynamics.base import State
from linphase.model.mode_times import HEIGHTS, WITHIN, ModeTimes, lagrange_weights, mode_times
from linphase.model.observables import largest_values
from linphase.model.task import Task

Array = NDArray[np.floating]

_REMEMBERED = 16  # states at most since the moment kept before the last
_PRECISE = 0.005  # of the time: where line and cubic are so near each other nothing is looked at
_LONG = 1.5  # change of a height from moment to moment that is looked into anyway
_WIDE = 0.2  # of the time: an interval that is looked into anyway
# A mode that turns within these factors above a level may have been below it.
_GRAZING = np.array([[1.1], [1.1], [1.01], [0.0]])
_LOOKS = 3  # in one interval for one mode, at most


class Passings:
    """Times of the signal modes; `advance` is called at every state, `keep` at those that are kept."""

    def __init__(self, task: Task, values: Array, c: float) -> None:
        """values (rank,): the singular values of A that training leads to, nan where unknown. None arrives at 0."""
        self.task, self.c, self.modes = task, c, min(task.rank, len(values))
        self.S = np.where(values > 0, values, np.nan)[: self.modes]
        self.levels = np.stack([np.full_like(self.S, c), self.S / 2, (1 - WITHIN) * self.S, (1 + WITHIN) * self.S])
        self.grazing = _GRAZING * self.levels
        self.times: list[float] = []
        self.values: list[Array] = []  # (modes,) at these times
        self.above = np.zeros(self.levels.shape, dtype=bool)  # at the last kept moment
        self.states: list[tuple[float, Array]] = []  # times of the last states, and what tells A there
        self.spare: list[Array] = []

    def advance(self, state: State) -> None:
        """Remember the state, for A between it and those beside."""
        states = self.states
        if states and not state.time > states[-1][0]:
            return
        if len(states) == _REMEMBERED:
            # The oldest goes where four are left before the last kept moment, else every second one.
            gone = slice(1) if states[4][0] <= self.times[-1] else slice(0, None, 2)
            self.spare += [known for _, known in states[gone]]
            del states[gone]
        here = self.task.from_origin(state.residual, state.weights)
        known = self.spare.pop() if self.spare else np.empty_like(here)
        np.copyto(known, here)
        states.append((state.time, known))

    def keep(self, time: float, singular_values: Array) -> None:
        """The singular values at a moment that is kept, and between it and the last one where a mode passes a level."""
        s = singular_values[: self.modes]
        if self.times and not time > self.times[-1]:
            self.times.pop()
            self.values.pop()
        self.times.append(time)
        self.values.append(s)
        above, was_above = self._above(s), self.above
        self.above = above
        if len(self.times) > 1:
            if (low := above & was_above & (self.values[-2] < self.grazing) & (s > self.values[-2])).any():
                for level, mode in np.argwhere(low).tolist():
                    self._graze(level, mode)
            if (passed := above > was_above).any():
                for level, mode in np.argwhere(passed).tolist():
                    self._follow(level, mode)

    def mode_times(self) -> ModeTimes:
        """When the modes did what, (modes,) each."""
        return mode_times(np.array(self.times), np.stack(self.values), self.S, self.c)

    def unknown(self) -> ModeTimes:
        """Nothing is known of the modes."""
        return ModeTimes(*np.full((3, self.modes), np.nan))

    def _above(self, s: Array) -> NDArray[np.bool_]:
        """Whether singular values are where they ought to be at the end: above three levels, below the fourth."""
        above = s > self.levels
        above[3] = ~above[3]
        return above

    def _follow(self, level: int, mode: int) -> None:
        """Look where a mode passes a level for the last time, until line and cubic agree there."""
        for _ in range(_LOOKS):
            last = self._last_below(level, mode)
            first = max(0, min(last - 1, len(self.times) - 4))
            times = self.times[first : first + 4]
            s = np.array([each[mode] for each in self.values[first : first + 4]])
            heights = HEIGHTS[level](s, self.S[mode], self.c).tolist()
            here = last - first
            (t0, t1), (h0, h1) = times[here : here + 2], heights[here : here + 2]
            if not h0 < h1:  # by rounding
                return
            by_line = t0 + h0 / (h0 - h1) * (t1 - t0)
            cubic = sum(w * h for w, h in zip(lagrange_weights(times, by_line), heights, strict=True))
            by_cubic = by_line - cubic * (t1 - t0) / (h1 - h0)
            if abs(by_cubic - by_line) < _PRECISE * by_line and h1 - h0 < _LONG and t1 - t0 < _WIDE * t1:
                return
            self._look(min(max(by_cubic, t0 + 0.1 * (t1 - t0)), t1 - 0.1 * (t1 - t0)))

    def _last_below(self, level: int, mode: int) -> int:
        """The place of the last moment but one or earlier at which a mode is not where it ought to be at the end."""
        last = len(self.times) - 2
        while last > 0 and self._above(self.values[last])[level, mode]:
            last -= 1
        return last

    def _graze(self, level: int, mode: int) -> None:
        """Look where a mode that has come near a level from above turns: it may have been below."""
        if len(self.times) == 2:
            self._look(self.times[1] / 2)
        for _ in range(_LOOKS):
            times, s = self.times[-5:], [float(each[mode]) for each in self.values[-5:]]
            i = s.index(min(s))
            if s[i] <= self.levels[level, mode]:
                self._follow(level, mode)
                return
            if i in (0, len(s) - 1):
                return
            (t0, t1, t2), (s0, s1, s2) = times[i - 1 : i + 2], s[i - 1 : i + 2]
            first, second = (s1 - s0) / (t1 - t0), (s2 - s1) / (t2 - t1)
            turn = (t0 + t1) / 2 - first / (second - first) * (t2 - t0) / 2
            if abs(turn - t1) < _PRECISE * turn:
                return
            self._look(turn)

    def _look(self, time: float) -> None:
        """The singular values at a time between states, of the cubic through the four around."""
        place = bisect_left(self.times, time)
        if not 0 < place < len(self.times) or self.times[place] == time:
            return
        known = [t for t, _ in self.states]
        first = max(0, min(bisect_left(known, time) - 2, len(known) - 4))
        A = self.task.origin.copy()
        weights = lagrange_weights(known[first : first + 4], time)
        for weight, (_, there) in zip(weights, self.states[first : first + 4], strict=True):
            A += weight * there
        self.times.insert(place, time)
        self.values.insert(place, largest_values(A, self.modes))
