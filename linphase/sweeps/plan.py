"""What runs take, estimated: this decides batches, the progress bar and the plan, never a number."""

import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heapreplace

import numpy as np

from linphase.errors import ConfigError
from linphase.model.threads import one_blas_thread
from linphase.runs.comparison import COMPARISONS
from linphase.runs.spec import RunSpec


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def estimated_flops(spec: RunSpec) -> float:
    """Floating-point operations of a run: gradient evaluations, three products each, and the recorded SVDs.

    The number of evaluations is a rough typical value; it decides batches and the progress bar, never a number.
    """
    d, m = spec.task.scale, min(spec.initialization.width, sum(spec.task.shape))
    if spec.dynamics.predicts:  # nothing is decomposed
        return 10 * d**3 + 1e8
    # What is not arithmetic (calls, small vectors) is as long as some 10^6 flops; fitted at d = 8 to 400.
    per_evaluation = 6 * m * d**2 + 6e6
    per_snapshot = 50 * d**3 + 5e6
    if COMPARISONS[spec.record.compare].decomposes_each_step:
        per_evaluation += 40 * d**3
    return spec.dynamics.evaluations(spec) * per_evaluation + 0.7 * spec.record.snapshots * per_snapshot


def estimated_bytes(spec: RunSpec) -> float:
    """Disk space of a run: two float32 lists of every recorded mode at every snapshot, and a row of scalars."""
    modes = min(*spec.task.shape, spec.initialization.width)
    recorded = spec.record.singular_values
    kept = modes if recorded == "all" else min(modes, recorded)
    return 4.0 * (2 * kept + 6) * spec.record.snapshots * 0.7 + 1000


def flops_per_second() -> float:
    """Rate of one core here, from a matrix product of middling size."""
    a = np.ones((256, 256))
    best = math.inf  # of several: others use the machine too
    with one_blas_thread():
        for _ in range(20):
            began = time.perf_counter()
            a @ a
            best = min(best, time.perf_counter() - began)
    return 2 * 256**3 / best


def batches(specs: Iterable[RunSpec], seconds: float, rate: float) -> list[tuple[RunSpec, ...]]:
    """Cut a list of runs into batches of about so many seconds; a longer run is a batch of its own."""
    cut: list[tuple[RunSpec, ...]] = []
    batch: list[RunSpec] = []
    filled = 0.0
    for spec in specs:
        cost = estimated_flops(spec) / rate
        if batch and filled + cost > seconds:
            cut.append(tuple(batch))
            batch, filled = [], 0.0
        batch.append(spec)
        filled += cost
    return [*cut, tuple(batch)] if batch else cut


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
