"""Files of others in a results directory: parts of another sweep or table, links, pipes, devices, directories."""

import os
import shutil
import socket
from pathlib import Path

from tests.attack.arena import RUNS, Arena, in_order
from tests.attack.invariant import holds
from tests.attack.registry import Unavailable, attack

NAME = "part-" + "0123456789abcdef" * 2 + "01234567.parquet"
READERS = (("status", "r"), ("export", "r", "-o", "out.csv"), ("boundary", "r"), ("classify", "r"), ("compact", "r"),
           ("explore", "r", "-o", "out.html"), ("plot", "r", "-o", "out.png"))  # fmt: skip


def _seen(arena: Arena, *, runs: int = RUNS, codes: tuple[int, ...] = (0,)) -> None:
    """What readers say of the directory, before anything is mended."""
    status = arena.linphase("status", "r").out
    assert f"{runs} of {RUNS} runs done" in status, status
    export = arena.path / "runs.csv"
    arena.linphase("export", "r", "-o", export.name)
    rows = export.read_text().count("\n") - 1
    assert rows == runs, f"{rows} rows in the table, {runs} are of this sweep"
    for command in arena.dice.sample(READERS, 2):
        arena.linphase(*command, codes=codes)
    arena.linphase("check", "r", codes=(1,))


@attack("strangers", weight=2)
def parts_of_another_sweep(arena: Arena) -> None:
    arena.have(arena.ground.parts)
    places = arena.dice.sample(range(RUNS // 2), arena.dice.randint(1, 3))
    for table in arena.dice.choice((("runs",), ("runs", "trajectories"), ("trajectories",))):
        for place in places:
            name = in_order(arena.ground.other / table)[place]
            shutil.copy(arena.ground.other / table / name, arena.results / table)
    _seen(arena)
    holds(arena, damaged=True)


@attack("strangers", weight=2)
def parts_of_another_table(arena: Arena) -> None:
    arena.have(arena.ground.parts)
    one, two = arena.dice.sample(("runs", "trajectories", "failures"), 2)
    source = two if two != "failures" else ({"runs", "trajectories"} - {one}).pop()
    shutil.copy(arena.ground.parts / source / in_order(arena.ground.parts / source)[0], arena.results / one)
    _seen(arena)
    holds(arena, damaged=True)


@attack("strangers")
def parts_of_predictions(arena: Arena) -> None:
    """Of the same grid, by theory: another configuration all the same."""
    arena.have(arena.ground.parts)
    for table in ("runs", "trajectories"):
        for part in (arena.ground.theory / table).iterdir():
            shutil.copy(part, arena.results / table)
    _seen(arena)
    holds(arena, damaged=True)


@attack("strangers")
def other_files(arena: Arena) -> None:
    """By their names they are no parts."""
    arena.have(arena.ground.parts)
    table = arena.dice.choice(("runs", "trajectories", "failures"))
    names = ("notes.txt", "part-1.parquet", "x.parquet", NAME.upper(), "part-\n.parquet", "part-\x1b[2J", "é" * 100)
    for name in arena.dice.sample(names, 2):
        (arena.results / table / name).write_bytes(arena.dice.randbytes(100))
    _seen(arena)
    holds(arena, damaged=True)


@attack("strangers", weight=2)
def no_files_of_the_names_of_parts(arena: Arena) -> None:
    """Pipes that nobody writes to, directories, sockets, devices without an end."""
    arena.have(arena.ground.parts)
    place = arena.results / arena.dice.choice(("runs", "trajectories", "failures")) / NAME
    kind = arena.dice.choice(("pipe", "directory", "socket", "/dev/zero"))
    arena.told.append(f"a {kind} as {place.parent.name}/{NAME}")
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
        (place / "x").touch()
    elif kind == "socket":
        _bind(place)
    else:
        _make_device(place)
    _seen(arena)
    holds(arena, damaged=True)


def _bind(place: Path) -> None:
    here = os.getcwd()
    os.chdir(place.parent)  # a path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(place.name)
    finally:
        os.chdir(here)


def _make_device(place: Path) -> None:
    try:
        os.mknod(place, 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError as error:
        raise Unavailable("device files take root") from error


@attack("strangers", weight=2)
def links_out_of_the_directory(arena: Arena) -> None:
    """They are not followed, be what they lead to a whole part of these very runs."""
    arena.have(arena.ground.parts)
    table = arena.dice.choice(("runs", "trajectories"))
    place = arena.dice.randrange(RUNS // 2)
    part = arena.results / table / in_order(arena.results / table)[place]
    target = arena.path / part.name
    part.rename(target)
    part.symlink_to(
        arena.dice.choice((target, Path("..") / ".." / part.name, "/dev/zero", "/proc/self/mem", part.name))
    )
    arena.told.append(f"{table}/{part.name} is a link to {os.readlink(part)}")
    arena.lose([place])
    _seen(arena, runs=RUNS - len(arena.of(place)) if table == "runs" else RUNS)
    before = target.read_bytes()
    holds(arena, damaged=True)
    assert target.read_bytes() == before


@attack("strangers")
def strange_configurations(arena: Arena) -> None:
    """One message that says what to move away; after that all is as it was."""
    arena.have(arena.ground.parts)
    strange = arena.results / "configs" / "0123456789abcdef.json"
    kind = arena.dice.choice(("pipe", "directory", "other", "nothing", "link"))
    arena.told.append(f"a {kind} among the configurations")
    if kind == "pipe":
        os.mkfifo(strange)
    elif kind == "directory":
        strange.mkdir()
    elif kind == "other":
        shutil.copy(next((arena.ground.other / "configs").glob("[0-9a-f]*.json")), strange)
    elif kind == "nothing":
        strange.touch()
    else:
        strange.symlink_to("/dev/zero")
    for command in (*READERS[:2], ("check", "r", "--repair")):
        done = arena.linphase(*command, codes=(1, 2))
        assert strange.name in done.out, done.out
    strange.rmdir() if kind == "directory" else strange.unlink()
    holds(arena)
