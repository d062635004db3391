"""Calls of the system that fail, as on a bad, full or distant disk: faults.c, loaded into every process here."""

import ctypes
import errno
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.attack.arena import RUNS, SWEEP, THEORY, Arena, in_order
from tests.attack.forked import Ended
from tests.attack.invariant import holds, is_complete
from tests.attack.registry import Unavailable, attack

_HALF = 0  # for an error: the call does half of what it was asked
FAULTS = {
    "write": (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EINTR, _HALF),
    "fsync": (errno.EIO, errno.ENOSPC),
    "rename": (errno.EIO, errno.EACCES, errno.ENOSPC, errno.ESTALE),
    "link": (errno.EPERM, errno.EIO, errno.EMLINK, errno.EOPNOTSUPP),
    "mkdir": (errno.EACCES, errno.ENOSPC, errno.EROFS),
    "unlink": (errno.EACCES, errno.EIO),
    "open": (errno.EACCES, errno.EIO, errno.EMFILE, errno.ENOMEM, errno.ESTALE, errno.EINTR),
    "read": (errno.EIO, errno.ESTALE, errno.EINTR, _HALF),
    "opendir": (errno.EACCES, errno.EIO, errno.ENOMEM, errno.ESTALE),
    "stat": (errno.EACCES, errno.EIO, errno.ESTALE),
}
READING = ("open", "read", "opendir", "stat")
# What these say follows from the results alone.
ANSWERS = {
    "status": (),
    "boundary": (),
    "classify": (),
    "check": (),
    "export": ("-o", "made/out.csv"),
    "plot": ("-o", "made/out.png"),
    "explore": ("-o", "made/out.html"),
}
_answers: dict[str, tuple[str, bytes]] = {}


def compiled() -> str:
    """The shared library of faults.c; empty where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return ""
    source = Path(__file__).with_suffix(".c")
    library = (
        Path(tempfile.gettempdir())
        / f"attack-faults-{os.getuid()}-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.so"
    )
    if not library.exists():
        draft = library.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", str(source), "-o", str(draft), "-ldl"], check=True)
        draft.rename(library)
    return str(library)


def is_loaded() -> bool:
    """Whether this process has the library in it."""
    return hasattr(ctypes.CDLL(None), "attack_is_here")


def with_fault(arena: Arena, call: str, below: Path, *arguments: str, codes: tuple[int, ...]) -> tuple[Ended, bool]:
    """Run a command of which some call fails below a directory; also whether it came to such a call."""
    if not is_loaded():
        raise Unavailable("no C compiler, which makes the library of faults")
    log = arena.path / "log"
    error = arena.dice.choice(FAULTS.get(call, (errno.EAGAIN,)))
    once = error in (_HALF, errno.EINTR) or arena.dice.random() < 0.5
    environment = {
        "ATTACK_CALL": call,
        "ATTACK_BELOW": str(below),
        "ATTACK_NTH": str(int(2 ** arena.dice.uniform(0, 4))),
        "ATTACK_ERRNO": str(error),
        "ATTACK_FOR_EVER": str(int(not once)),
        "ATTACK_LOG": str(log),
    }
    child = arena.start(*arguments, environment=environment)
    arena.told[-1] += f" [{call} below {below.name} fails with {errno.errorcode.get(error, 'half')}, " + (
        f"{'only' if once else 'from'} the {environment['ATTACK_NTH']}th time]"
    )
    done = arena.ended(child, codes)
    hit = log.exists()
    log.unlink(missing_ok=True)
    return done, hit


@attack("faults", weight=3)
def writers_with_faults(arena: Arena) -> int:
    """Those that end with 0 have done all; those that do not have lost nothing and left no draft."""
    arena.have(arena.ground.parts, arena.dice.randrange(RUNS // 2))
    jobs = ("--jobs", "1") if arena.dice.random() < 0.05 else ()
    call = arena.dice.choice(list(FAULTS))
    done, hit = with_fault(arena, call, arena.results, *SWEEP, *jobs, codes=(0, 1, 2))
    if done.code == 0 and call != "unlink":  # without unlink the copies stay
        is_complete(arena)
    _assert_no_drafts(arena, call)
    holds(arena)
    return int(hit)


@attack("faults")
def first_writers_with_faults(arena: Arena) -> int:
    """The directory itself is made under faults."""
    call = arena.dice.choice(list(FAULTS))
    theory = arena.dice.random() < 0.5
    below = arena.path / "t" if theory else arena.results
    done, hit = with_fault(arena, call, below, *(THEORY if theory else SWEEP), codes=(0, 1, 2))
    if done.code == 0 and call != "unlink":
        is_complete(arena, theory=theory)
    _assert_no_drafts(arena, call)
    holds(arena, theory=theory)
    return int(hit)


@attack("faults", weight=2)
def compacts_with_faults(arena: Arena) -> int:
    arena.have(arena.ground.parts)
    call = arena.dice.choice(list(FAULTS))
    _, hit = with_fault(arena, call, arena.results, "compact", "r", codes=(0, 1, 2))
    _assert_no_drafts(arena, call)
    holds(arena)
    return int(hit)


@attack("faults")
def repairs_with_faults(arena: Arena) -> int:
    """What cannot be read is not moved aside as if it were damaged."""
    arena.have(arena.ground.parts)
    broken = {}
    for table in ("runs", "trajectories"):
        place = arena.dice.randrange(RUNS // 2)
        broken[table] = place
        os.truncate(arena.results / table / in_order(arena.results / table)[place], 1000)
    call = arena.dice.choice(list(FAULTS))
    _, hit = with_fault(arena, call, arena.results, "check", "r", "--repair", codes=(0, 1, 2))
    arena.lose(set(broken.values()))
    holds(arena, damaged=True)
    aside = [file for file in (arena.results / "quarantine").rglob("part-*") if file.parent.name == "trajectories"]
    assert len(aside) == 1, f"moved aside: {aside}"
    return int(hit)


def _assert_no_drafts(arena: Arena, call: str) -> None:
    if call != "unlink":
        drafts = [str(file) for file in arena.results.rglob(".*") if file.name not in (".first.json", ".claims")]
        assert not drafts, f"drafts left: {drafts}"


@attack("faults", weight=3)
def readers_with_faults(arena: Arena) -> int:
    """They give the answer that they give without faults, or none and exit with 1."""
    arena.have(arena.ground.parts)
    made = arena.path / "made"
    made.mkdir()
    command = arena.dice.choice(list(ANSWERS))
    words = (command, "r", *ANSWERS[command])
    output = next((arena.path / word for word in words if word.startswith("made/")), None)
    if command not in _answers:
        _answers[command] = arena.linphase(*words).out, _take(output)
    call = arena.dice.choice(READING)
    done, hit = with_fault(arena, call, arena.results, *words, codes=(0, 1))
    found = done.out, _take(output)
    assert done.code or found == _answers[command], f"another answer: {done.out}"
    assert done.code == 0 or found[1] in (b"", _answers[command][1]), "a file of another content"
    holds(arena)
    return int(hit)


def _take(output: Path | None) -> bytes:
    """The bytes of a file that was made, which goes."""
    if output is None or not output.exists():
        return b""
    content = output.read_bytes()
    output.unlink()
    return content


@attack("faults")
def outputs_with_faults(arena: Arena) -> int:
    """A file is made whole or not at all."""
    arena.have(arena.ground.parts)
    made = arena.path / "made"
    made.mkdir()
    command = arena.dice.choice([name for name, words in ANSWERS.items() if words])
    call = arena.dice.choice(("write", "rename", "open", "stat"))
    done, hit = with_fault(arena, call, made, command, "r", *ANSWERS[command], codes=(0, 1, 2))
    files = [file.name for file in made.iterdir()]
    assert files == ([] if done.code else [Path(ANSWERS[command][-1]).name]), f"exit code {done.code}, files {files}"
    return int(hit)


@attack("faults")
def threads_that_do_not_start(arena: Arena) -> int:
    """No thread can be started: nothing is damaged by that."""
    arena.have(arena.ground.parts, arena.dice.randint(1, RUNS // 2))
    command = arena.dice.choice((("check", "r", "--repair"), ("compact", "r"), SWEEP, ("status", "r")))
    _, hit = with_fault(arena, "thread", Path("/"), *command, codes=(0, 1))
    assert not (arena.results / "quarantine").exists(), "healthy parts were moved aside"
    holds(arena)
    return int(hit)
