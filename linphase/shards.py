"""Shards: a fixed part of a sweep's whole list of runs, so that many tasks can share it without talking.

Which runs are a shard's depends on the whole list and on nothing else: neither on what is done already nor on the
machine. A task that is started again therefore finds the same runs, and skips the finished ones.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heapreplace

from linphase.errors import ConfigError
from linphase.spec import RunSpec

MAX_COUNT = 100_000


@dataclass(frozen=True)
class Shard:
    """The index-th of count parts, counted from 1; written index/count."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str, source: str = "--shard") -> Shard:
    """The shard that a text such as 3/16 names."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if found is None:
        raise ConfigError(f"{source}: I/N is required, the I-th of N parts, such as 3/16, found {text!r}")
    index, count = int(found[1]), int(found[2])
    if not 1 <= count <= MAX_COUNT:
        raise ConfigError(f"{source}: at least 1 and at most {MAX_COUNT} parts are required, found {text!r}")
    if not 1 <= index <= count:
        raise ConfigError(
            f"{source}: parts are counted from 1, so 1/{count} to {count}/{count} are required, found {text!r}"
        )
    return Shard(index, count)


def shard_of(specs: Iterable[RunSpec], shard: Shard, cost: Callable[[RunSpec], float]) -> Iterator[RunSpec]:
    """The runs of one shard, in the order of the list.

    The longest run goes first, each to the shard with the least to do so far, of equal ones to the first (Graham's
    longest processing time: the fullest shard has at most 4/3 of the best possible); equal runs go by their ids.
    """
    if shard.count == 1:
        yield from specs
        return
    listed = list(specs)
    costs = [cost(spec) for spec in listed]
    order = sorted(range(len(listed)), key=lambda place: (-costs[place], listed[place].run_id))
    loads = [(0.0, index) for index in range(1, shard.count + 1)]
    mine = []
    for place in order:
        load, index = loads[0]
        if index == shard.index:
            mine.append(place)
        heapreplace(loads, (load + costs[place], index))
    for place in sorted(mine):
        yield listed[place]
