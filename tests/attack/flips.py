"""One bit of one part flipped: at every 97th byte, and densely in the footer, of runs and of trajectories."""

import os
import random
import shutil
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path

from linphase.errors import ResultsError
from linphase.store.checking import check
from linphase.store.reading import finished_ids
from linphase.store.results import Results, load
from tests.attack.arena import Arena, Ground, in_order
from tests.attack.invariant import holds
from tests.attack.registry import attack
from tests.store.parts import flips

AT_ONCE = 20  # bits that are flipped one after the other in one process
WHY = "its bytes are not those that were written"


@lru_cache(maxsize=1)
def _places(ground: Ground) -> list[tuple[str, int, int]]:
    """(table, number of the part, byte) of every flip, in a random order that is always the same."""
    places = [
        (table, place, byte)
        for table in ("runs", "trajectories")
        for place, name in enumerate(in_order(ground.parts / table))
        for byte in flips((ground.parts / table / name).stat().st_size)
    ]
    random.Random(0).shuffle(places)
    return places


def _flip(results: Path, table: str, place: int, byte: int, bit: int) -> Path:
    """Flip a bit; a process remembers the files that it has read by their times, so these change a little."""
    part = results / table / in_order(results / table)[place]
    content = bytearray(part.read_bytes())
    content[byte] ^= 1 << bit
    times = part.stat()
    part.write_bytes(content)
    os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns + 1 + byte))  # still in their order
    return part


@attack("flips", weight=9)
def flips_seen_by_the_library(arena: Arena) -> int:
    """Each is damage of this part alone; the runs of the other parts stay what they are."""
    arena.have(arena.ground.parts)
    every = _places(arena.ground)
    places = [every[index % len(every)] for index in range(AT_ONCE * arena.number, AT_ONCE * (arena.number + 1))]
    bits = [arena.dice.randrange(8) for _ in places]
    arena.told.append(f"flips of (table, part, byte) {places}, bits {bits}")
    arena.call(partial(_all_seen, arena, places, bits))
    return AT_ONCE


def _all_seen(arena: Arena, places: list[tuple[str, int, int]], bits: list[int]) -> None:
    warnings.simplefilter("ignore")
    ids = finished_ids(arena.results)
    for flipped in _rounds(list(zip(places, bits, strict=True))):
        parts = {_flip(arena.results, *place, bit): place for place, bit in flipped}
        found = check(arena.results)
        expected = {(f"{part.parent.name}/{part.name}", WHY) for part in parts}
        assert set(found.damaged) == expected, f"{flipped}: {found.damaged}"
        lost = {table: _runs(arena, table, parts.values()) for table in ("runs", "trajectories")}
        loaded = load(arena.results, ["width"])
        assert set(loaded.runs["run_id"]) == ids - lost["runs"], f"{flipped}: {len(loaded.runs)} runs"
        assert set(found.untraced) == lost["trajectories"] - lost["runs"], f"{flipped}: {found.untraced}"
        if lost["trajectories"]:
            _is_refused(loaded, min(lost["trajectories"]))
        for part in parts:
            shutil.copy2(arena.ground.parts / part.parent.name / part.name, part)
    assert check(arena.results).sound


def _rounds(flipped: list[tuple[tuple[str, int, int], int]]) -> Iterator[list[tuple[tuple[str, int, int], int]]]:
    """The flips of different parts, a few at a time."""
    while flipped:
        first = {(table, part): one for one in reversed(flipped) for table, part, _ in one[:1]}
        chosen = list(first.values())[:3]
        yield chosen
        flipped = [one for one in flipped if one not in chosen]


def _runs(arena: Arena, table: str, places: Iterable[tuple[str, int, int]]) -> set[str]:
    """The ids of the runs in some parts of a table."""
    return set[str]().union(*(arena.of(part) for name, part, _ in places if name == table))


def _is_refused(loaded: Results, run_id: str) -> None:
    try:
        loaded.trajectory(run_id)
    except ResultsError:
        return
    raise AssertionError("a damaged trajectory was read")


@attack("flips")
def flips_seen_by_the_commands(arena: Arena) -> None:
    arena.have(arena.ground.parts)
    table, place, byte = arena.dice.choice(_places(arena.ground))
    part = _flip(arena.results, table, place, byte, arena.dice.randrange(8))
    arena.told.append(f"a flip in {table}/{part.name} at byte {byte}")
    arena.lose([place])
    status = arena.linphase("status", "r").out
    assert ("6 of 8 runs done, 2 missing" if table == "runs" else "8 of 8 runs done, 0 missing") in status, status
    assert f"damaged: {table}/{part.name}: {WHY}" in arena.linphase("check", "r", codes=(1,)).out
    holds(arena, damaged=True)
    assert (arena.results / "quarantine" / table / part.name).exists()
