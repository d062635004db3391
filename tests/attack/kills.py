"""Commands killed at random moments: `kill -9` of the process, of its workers, or of everything."""

import os
import shutil
import signal
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.attack.arena import RUNS, SWEEP, THEORY, TRACEBACK, Arena, in_order, traced
from tests.attack.forked import PATIENCE, Child
from tests.attack.invariant import age_drafts, holds
from tests.attack.registry import attack
from tests.processes import gone, workers
from tests.store.parts import add_part

READERS = {
    "status": (),
    "boundary": (),
    "classify": (),
    "check": (),
    "export": ("-o", "out.csv"),
    "explore": ("-o", "out.html"),
    "plot": ("-o", "out.png"),
    "report": ("-o", "out.html", "--panel", "regime"),
}
ENDS = {".csv": b"\n", ".html": b"</html>\n", ".png": b"IEND\xaeB`\x82"}
OLD = b"what was there before"
_seconds: dict[str, float] = {}  # how long commands take when nobody kills them, by their first word


def killed(arena: Arena, *arguments: str) -> int:
    """Start a command and kill it somewhere in its time; whether that was in time."""
    child = arena.start(*arguments)
    if _ends_first(arena, child, arguments[0]):
        arena.ended(child, (0, 1))
        return 0
    child.kill()
    return int(_after(arena, child))


def _ends_first(arena: Arena, child: Child, name: str) -> bool:
    """Wait for a random moment of the time that such a command takes; whether it has ended by then."""
    usual = _seconds.setdefault(name, arena.ground.seconds)
    began = time.monotonic()
    ended = child.ends_within(arena.dice.uniform(0, 1.1 * usual))
    _seconds[name] = (usual + time.monotonic() - began) / 2 if ended else 1.02 * usual
    return ended


def _after(arena: Arena, child: Child) -> bool:
    """Whether a killed process was still there to be killed; its children must go by themselves."""
    done = child.wait()
    arena.told[-1] += f" -> killed after {done.seconds:.3f} s"
    assert TRACEBACK not in done.out, traced(done.out)
    assert gone(child.pid), "a worker outlives its parent"
    return done.code == -signal.SIGKILL


def in_a_row(arena: Arena, *arguments: str) -> int:
    """Kill the same command one to five times, each time where the last one left it."""
    return sum(killed(arena, *arguments) for _ in range(arena.dice.randint(1, 5)))


@attack("kills", weight=12)
def sweeps_killed(arena: Arena) -> int:
    arena.have(arena.ground.parts, arena.dice.randrange(RUNS // 2))
    kills = in_a_row(arena, *SWEEP)
    holds(arena)
    return kills


@attack("kills", weight=3)
def sweeps_killed_from_the_first_moment(arena: Arena) -> int:
    kills = in_a_row(arena, *SWEEP)
    holds(arena)
    return kills


@attack("kills", weight=3)
def theories_killed(arena: Arena) -> int:
    kills = in_a_row(arena, *THEORY)
    holds(arena, theory=True)
    return kills


@attack("kills", weight=4)
def fillings_killed(arena: Arena) -> int:
    arena.have(arena.ground.parts)
    arena.call(partial(_forget_an_observable, arena.results))
    arena.kept = {}
    kills = in_a_row(arena, *SWEEP, "--fill")
    holds(arena, fill=True)
    return kills


def _forget_an_observable(results: Path, name: str = "kernel_change") -> None:
    """Make the runs those of a linphase that did not measure it."""
    for part in list((results / "runs").glob("part-*")):
        rows = pq.read_table(part)
        told = [" ".join(set(text.split()) - {name}) for text in rows.column("observables").to_pylist()]
        for column, values in (("observables", told), (name, [None] * rows.num_rows)):
            index = rows.schema.get_field_index(column)
            rows = rows.set_column(index, rows.schema.field(index), pa.array(values, rows.schema.field(index).type))
        part.unlink()
        add_part(results / "runs", rows)


@attack("kills", weight=14)
def readers_killed(arena: Arena) -> int:
    """Their files are whole, new or old, and the results are as they were."""
    arena.have(arena.ground.parts, arena.dice.randint(1, RUNS // 2))
    before = contents(arena.results)
    kills = 0
    for _ in range(arena.dice.randint(3, 6)):
        command = arena.dice.choice(list(READERS))
        output = next((arena.path / word for word in READERS[command] if word.startswith("out.")), None)
        if output is not None:
            output.write_bytes(OLD)
        kills += killed(arena, command, "r", *READERS[command])
        if output is not None:
            content = output.read_bytes()
            assert content == OLD or content.endswith(ENDS[output.suffix]), f"{output.name} is not whole"
    assert contents(arena.results) == before, "a reader changed the results"
    age_drafts(arena.path)
    arena.linphase("export", "r", *READERS["export"])
    assert not list(arena.path.glob(".*")), "a draft of a killed reader stays for ever"
    holds(arena)
    return kills


def contents(directory: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


@attack("kills", weight=12)
def compacts_killed(arena: Arena) -> int:
    """Beside parts to fold, there are copies: as two sweeps leave them that have done the same runs."""
    arena.have(arena.ground.parts)
    for table in ("runs", "trajectories"):
        if arena.dice.random() < 0.5:
            _copy_all(arena, table)
    kills = in_a_row(arena, "compact", "r")
    _has_lost_none(arena)
    holds(arena)
    return kills


def _copy_all(arena: Arena, table: str) -> None:
    for part in (arena.ground.undisturbed / table).iterdir():
        shutil.copy(part, arena.results / table)
    arena.kept = {}  # either copy may stay


def _has_lost_none(arena: Arena) -> None:
    """Every run is there before any sweep could train it again, be it once or twice."""
    status = arena.linphase("status", "r").out
    assert f"{RUNS} of {RUNS} runs done" in status, status


@attack("kills", weight=10)
def repairs_killed(arena: Arena) -> int:
    arena.have(arena.ground.parts)
    for table in ("runs", "trajectories"):
        places = arena.dice.sample(range(RUNS // 2), arena.dice.randint(0, 2))
        for place in places:
            os.truncate(arena.results / table / in_order(arena.ground.parts / table)[place], arena.dice.randrange(5000))
        arena.lose(places)
    (arena.results / "runs" / "notes.txt").write_text("mine")
    kills = in_a_row(arena, "check", "r", "--repair")
    holds(arena, damaged=True)
    return kills


@attack("kills", weight=6)
def one_of_two_at_once_killed(arena: Arena) -> int:
    """The other one goes on as if it were alone: a sweep of many parts, and then compacts of parts and their copies."""
    arena.have(arena.ground.parts, arena.dice.randrange(RUNS // 2))
    kills = 0
    for others in (SWEEP, ("compact", "r"), ("compact", "r")):
        if others != SWEEP:
            for table in ("runs", "trajectories"):
                _copy_all(arena, table)
        other = arena.start(*others)
        begun = time.monotonic()
        while time.monotonic() < begun + PATIENCE:
            kills += killed(arena, *arena.dice.choice((("compact", "r"), ("compact", "r"), SWEEP, ("check", "r"))))
            if other.ends_within(0):
                break
        done = arena.ended(other, (0,))
        assert "Error" not in done.out, done.out
        _has_lost_none(arena)
    holds(arena)
    return kills


@attack("kills")
def a_worker_killed(arena: Arena) -> int:
    """The sweep goes on with new workers; what it takes along twice has to all appearances failed."""
    child = arena.start(*SWEEP, "--jobs", "2")
    kills = 0
    old: list[int] = []
    for _ in range(arena.dice.randint(1, 2)):
        found = _workers(arena, child, old)
        if left := [pid for pid in found if pid in workers(child.pid)]:
            os.kill(arena.dice.choice(left), signal.SIGKILL)
            arena.told[-1] += ", a worker killed"
            kills += 1
        old += found
    if arena.ended(child, (0, 1)).code:
        arena.linphase(*SWEEP, "--retry-failed")
    assert gone(child.pid), "a worker outlives its parent"
    for failure in (arena.results / "failures").iterdir():  # they stay, as they should
        failure.unlink()
    holds(arena)
    return kills


@attack("kills")
def a_parent_of_workers_killed(arena: Arena) -> int:
    child = arena.start(*SWEEP, "--jobs", "2")
    _workers(arena, child)
    if child.ends_within(0):
        arena.ended(child, (0,))
        kills = 0
    else:
        child.kill() if arena.dice.random() < 0.5 else os.killpg(child.pid, signal.SIGKILL)
        kills = int(_after(arena, child))
    holds(arena)
    return kills


def _workers(arena: Arena, child: Child, old: Collection[int] = ()) -> list[int]:
    """The workers of a sweep, others than the old ones, at a random moment: when they begin, or are at work."""
    parts, begun = arena.results / "runs", time.monotonic()
    before = len(list(parts.glob("part-*")))
    at_work = arena.dice.random() < 0.5
    while not (found := [pid for pid in workers(child.pid) if pid not in old]) or (
        at_work and len(list(parts.glob("part-*"))) <= before
    ):
        if child.ends_within(0.01) or time.monotonic() > begun + PATIENCE:
            break
    child.ends_within(arena.dice.uniform(0, (0.3 if at_work else 1.0) * arena.ground.seconds))
    return found


@attack("kills", weight=3)
def signals_sent(arena: Arena) -> int:
    """Ctrl-C, which reaches the whole group, and SIGTERM, once or twice: the end comes soon and leaves nothing."""
    child = arena.start(*SWEEP, *arena.dice.choice(((), ("--jobs", "1"), ("--jobs", "2"))))
    for number in arena.dice.choices((signal.SIGINT, signal.SIGTERM), k=2):
        if not child.ends_within(arena.dice.uniform(0.05, 1.0)):
            os.killpg(child.pid, number) if number == signal.SIGINT else os.kill(child.pid, number)
            arena.told[-1] += f", {signal.Signals(number).name}"
    began = time.monotonic()
    done = child.wait()
    assert time.monotonic() - began < 10, "it does not stop"
    stopped = "Stopping" in done.out  # else a signal came before linphase could take it
    # Negative where the second signal came when all was done, and linphase took no more.
    codes = (0, 130, 143, -signal.SIGTERM) if stopped else (0, 1, 130, 143, -signal.SIGTERM)
    assert done.code in codes, f"exit code {done.code}, not one of {codes}: {done.out}"
    assert not stopped or TRACEBACK not in done.out, traced(done.out)
    assert gone(child.pid), "a worker outlives its parent"
    holds(arena)
    return 1
