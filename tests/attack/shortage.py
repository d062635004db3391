"""Too little of something: memory, open files, room on the disk or for temporary files, an ear for what is said."""

import errno
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.attack.arena import RUNS, SWEEP, Arena, traced
from tests.attack.invariant import holds
from tests.attack.kills import contents
from tests.attack.registry import Unavailable, attack
from tests.disks import set_room, small_disk

COMMANDS = (SWEEP, (*SWEEP, "--jobs", "1"), ("compact", "r"), ("check", "r", "--repair"), ("status", "r"),
            ("export", "r", "-o", "out.csv"), ("boundary", "r"), ("explore", "r", "-o", "out.html"),
            ("plot", "r", "-o", "out.png"), ("report", "r", "-o", "out.html", "--panel", "regime"))  # fmt: skip


def _short(
    arena: Arena,
    within: Callable[[], object],
    *,
    codes: tuple[int, ...] = (0, 1, 2),
    **how: object,
) -> None:
    """Run a command that lacks something: it says so, moves nothing aside, and leaves no file half-written."""
    arena.have(arena.ground.parts, arena.dice.randint(1, RUNS // 2))
    command = arena.dice.choice(COMMANDS)
    before = contents(arena.results)
    arena.linphase(*command, codes=codes, within=within, **how)
    assert not (arena.results / "quarantine").exists(), "healthy parts were moved aside"
    assert command[0] in ("sweep", "compact") or contents(arena.results) == before, "a reader changed the results"
    holds(arena)


@attack("shortage", weight=3)
def little_memory(arena: Arena) -> None:
    megabytes = int(2 ** arena.dice.uniform(0, 8))
    arena.told.append(f"{megabytes} MB of memory more than the modules take")

    def within() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        room = pages * resource.getpagesize() + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (room, room))

    # Native libraries may crash.
    _short(arena, within, codes=(0, 1, 2, -signal.SIGSEGV, -signal.SIGABRT))


@attack("shortage", weight=3)
def few_open_files(arena: Arena) -> None:
    free = arena.dice.randint(0, 12)
    arena.told.append(f"{free} files may be opened")

    def within() -> None:
        taken = len(os.listdir("/proc/self/fd")) - 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken + free, taken + free))

    _short(arena, within)


@attack("shortage")
def files_of_little_size(arena: Arena) -> None:
    """As by `ulimit -f`: a write beyond it is an error, not a signal, to Python."""
    size = arena.dice.choice((10_000, 60_000))
    arena.told.append(f"files of {size} bytes at most")
    _short(arena, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))


@attack("shortage", weight=2)
def no_temporary_directory(arena: Arena) -> None:
    kind = arena.dice.choice(("gone", "a file", "full", "read-only"))
    arena.told.append(f"the temporary directory is {kind}")
    place = arena.path / "temporary"
    environment = {"TMPDIR": str(place)}
    if kind == "gone":
        _short(arena, lambda: None, environment=environment)
    elif kind == "a file":
        place.touch()
        _short(arena, lambda: None, environment=environment)
    else:
        with small_disk(place, "4k" if kind == "full" else "1m,ro") as there:
            if not there:
                raise Unavailable("a disk of its own takes root")
            if kind == "full":
                (place / "ballast").write_bytes(bytes(4096))
            _short(arena, lambda: None, environment=environment)


@attack("shortage", weight=3)
def a_full_disk(arena: Arena) -> None:
    """Sweep and fold where there is little room; then there is room again."""
    with small_disk(arena.results, "4m") as there:
        if not there:
            raise Unavailable("a disk of its own takes root")
        source = Arena(arena.path / "source", arena.ground, arena.dice)
        source.have(arena.ground.parts, arena.dice.randint(0, RUNS // 2))
        shutil.copytree(source.results, arena.results, dirs_exist_ok=True)
        arena.kept = source.kept
        room = arena.dice.randrange(250)
        arena.told.append(f"{room} kB of room")
        set_room(arena.results, room)
        command = arena.dice.choice(
            (SWEEP, SWEEP, ("compact", "r"), ("plot", "r"), ("report", "r", "--panel", "regime"))
        )
        done = arena.linphase(*command, codes=(0, 1, 2))
        assert done.code == 0 or "disk full" in done.out or os.strerror(errno.ENOSPC) in done.out, done.out
        drafts = [str(file) for file in arena.results.rglob(".*") if file.name != ".first.json"]
        assert not drafts, f"drafts left: {drafts}"
        for file in ("ballast", "phase_diagram.png", "regime.png"):
            (arena.results / file).unlink(missing_ok=True)
        shutil.rmtree(arena.results / "report", ignore_errors=True)
        holds(arena)


@attack("shortage", weight=2)
def nobody_listens(arena: Arena) -> None:
    """Standard output is full, closed, or a pipe that nobody reads: no sweep stops for that, and no command shouts."""
    kind = arena.dice.choice(("full", "closed", "pipe"))
    arena.told.append(f"standard output is {kind}")

    def within() -> None:
        if kind == "full":
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        elif kind == "closed":
            os.close(1)
            sys.stdout = None  # as Python begins then
        else:
            reader, writer = os.pipe()
            os.dup2(writer, 1)
            os.close(reader)
            os.close(writer)
        if kind != "closed":  # a stream knows from its beginning whether it can be sought
            sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)

    arena.have(arena.ground.parts, arena.dice.randint(1, RUNS // 2))
    command = arena.dice.choice(COMMANDS)
    child = arena.start(*command, within=within)
    done = child.wait()
    arena.told[-1] += f" -> {done.code}"
    assert "Traceback" not in done.out, traced(done.out)
    sweep = command[0] == "sweep"
    assert done.code in ((0,) if sweep else (0, 1)), f"exit code {done.code}: {done.out}"
    assert "Exception ignored" not in done.out, done.out
    holds(arena)
