"""Refinement: cells of a grid over variance and width are split where the outcome changes.

The vertices of the grid are a lattice, (i, j) with i along the variance and j along the width. Its levels are nested:
level l has n 2^l intervals where the grid has n, by the same exact arithmetic, so every level contains the coarser
ones, and a run of one level is the same run, with the same id, in all finer ones. A cell whose four corners do not
share one label is split into four; only corners are run. Islands smaller than a cell of the grid are missed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import pairwise, product
from typing import Any, TypeAlias

from linphase.config.grid import Spaced, round_value
from linphase.runs.spec import RunSpec

Vertex: TypeAlias = tuple[int, int]  # place along the variance and along the width, on the finest level
Start: TypeAlias = tuple[Any, Any]  # the values of variance and width there
Label: TypeAlias = Callable[[Start], str | None]  # None: not known (yet), which splits nothing
_Cell: TypeAlias = tuple[tuple[int, int], tuple[int, int]]  # its two edges along the variance, and along the width


def halved(values: tuple[Any, ...], times: int) -> tuple[Any, ...] | None:
    """Evenly spaced values (n + 1,) with every interval halved so many times, (n 2^times + 1,).

    Between integers they are rounded down. None where the values given are not evenly spaced, to 12 digits.
    """
    is_integer = all(isinstance(value, int) for value in values)
    start, stop = (Fraction(repr(value)) for value in (values[0], values[-1]))

    def spaced(intervals: int) -> tuple[Any, ...]:
        between = Spaced(start, stop, intervals + 1, is_integer).values()
        return tuple(round_value(value) for value in between)

    n = len(values) - 1
    return spaced(n * 2**times) if spaced(n) == values else None


@dataclass(frozen=True)
class Facet:
    """The runs of one combination of the further axes, at any variance and width.

    keys: of the variance and the width. sections: of a `RunSpec`.
    """

    keys: tuple[str, str]
    sections: Mapping[str, Any]
    replicates: int

    def cell(self, start: Start) -> list[RunSpec]:
        """The replicates at a variance and a width."""
        (variance, width), (its, other) = self.keys, start
        first = RunSpec.at(((variance, its), (width, other)), 0, self.sections)
        return [first, *(replace(first, replicate=replicate) for replicate in range(1, self.replicates))]

    def told_apart(self, variance: Any, widths: Sequence[Any]) -> tuple[Any, ...]:
        """What runs differ by along the width: that of the network, or where more hangs on it the value itself."""
        if self.sections["dynamics"].sees_gamma_w:
            return tuple(widths)
        return tuple(self.cell((variance, width))[0].initialization.width for width in widths)


@dataclass(frozen=True)
class Lattice:
    """The finest level of a grid over variance and width, and how the cells of the grid are split.

    Parameters
    ----------
    variances, widths
        Values of the two axes on the finest level, (n 2^levels + 1,); one value where the axis has one.
    runs_by_width
        `Facet.told_apart` of `widths`.
    levels
        How often cells are split.
    """

    variances: tuple[Any, ...]
    widths: tuple[Any, ...]
    runs_by_width: tuple[Any, ...]
    levels: int

    def split(self, label: Label) -> Iterator[list[Start]]:
        """Where vertices are that are run, level by level, in lattice order; on each level those of no earlier one.

        Level 0 is the grid as it is. Further on, vertices that share variance and width are one run: that of an
        earlier level, or of the first of them. A cell whose two widths are the same is halved along the variance alone;
        between two that are neighbours the halves say where one ends, and cost no run.
        """
        side = 2**self.levels
        grid = (range(0, len(self.variances), side), range(0, len(self.widths), side))
        run: dict[tuple[int, Any], Vertex] = {}  # the vertex that is run at each place
        for vertex in product(*grid):
            run.setdefault(self._place(vertex), vertex)
        yield list(map(self._start, product(*grid)))
        labelled = cache(lambda vertex: label(self._start(vertex)))  # a vertex is a corner of up to four cells
        across, up = (list(pairwise(axis)) or [(0, 0)] for axis in grid)
        cells: list[_Cell] = list(product(across, up))
        for _ in range(self.levels):
            parted = [cell for cell in cells if _differ(labelled(run[self._place(v)]) for v in product(*cell))]
            cells = [part for cell in parted for part in self._parts(cell)]
            new = []
            for vertex in sorted({vertex for cell in cells for vertex in product(*cell)}):
                if self._place(vertex) not in run:
                    run[self._place(vertex)] = vertex
                    new.append(vertex)
            yield list(map(self._start, new))

    def _start(self, vertex: Vertex) -> Start:
        return self.variances[vertex[0]], self.widths[vertex[1]]

    def _place(self, vertex: Vertex) -> tuple[int, Any]:
        return vertex[0], self.runs_by_width[vertex[1]]

    def _parts(self, cell: _Cell) -> Iterator[_Cell]:
        """A cell's halves along each axis on which it can be halved: four cells, or two, or none."""
        across, up = cell
        low, high = (self.runs_by_width[j] for j in up)
        halves = (_halves(across), [up] if low == high else _halves(up))
        if any(len(each) > 1 for each in halves):
            yield from product(*halves)


def _halves(edges: tuple[int, int]) -> list[tuple[int, int]]:
    low, high = edges
    middle = (low + high) // 2
    return [(low, middle), (middle, high)] if low < middle else [edges]


def _differ(labels: Iterator[str | None]) -> bool:
    return len(set(labels) - {None}) > 1
