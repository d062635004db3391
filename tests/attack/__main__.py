"""`python -m tests.attack`: attack for some minutes on all cores, and print what gave way."""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import NamedTuple

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # a process with threads cannot be forked

from tests.attack import crafted, faults, flips, kills, shortage, strangers  # noqa: E402, F401 - they declare attacks
from tests.attack.arena import Arena, Ground, prepare  # noqa: E402
from tests.attack.registry import ATTACKS, SHARES, Attack, Unavailable  # noqa: E402
from tests.processes import ROOT  # noqa: E402


class Result(NamedTuple):
    kind: str
    number: int
    name: str
    count: int
    failure: str  # what gave way; empty where nothing did


def main() -> int:
    """Attack; 1 where anything gave way."""
    options = _options()
    shim = faults.compiled()
    os.environ.update(PYTHONPATH=str(ROOT), LD_PRELOAD=shim, ATTACKED="1")
    if shim and not faults.is_loaded():  # it is found by the loader alone, at the begin of a process
        os.execv(sys.executable, [sys.executable, "-m", "tests.attack", *sys.argv[1:]])
    _import_all()
    began = time.monotonic()
    path = Path(tempfile.mkdtemp(prefix="attack-"))
    ground = prepare(path)
    kinds = [options.only] if options.only else list(SHARES)
    if options.number is not None:
        results = [_attacked(ground, options.seed, options.only, options.number)]
        _tell(results[0], options.seed)
    else:
        results = _all_lanes(ground, options, kinds, began + 60 * options.minutes)
    failed = [result for result in results if result.failure]
    _print_table(results, time.monotonic() - began)
    print(f"seed {options.seed}; " + (f"the directories of what gave way are in {path}" if failed else "all held"))
    if not failed:
        shutil.rmtree(path)
    return int(bool(failed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--only", choices=list(SHARES), metavar="KIND", help=", ".join(SHARES))
    parser.add_argument("--number", type=int, help="this attack of --only alone, as a failure names it")
    options = parser.parse_args()
    if options.number is not None and options.only is None:
        parser.error("--number: is for --only KIND, found without")
    return options


def _import_all() -> None:
    """Whatever the commands import when they are called, once and for all of them."""
    import plotly.graph_objects
    import plotly.offline  # noqa: F401
    import rich.progress  # noqa: F401

    import linphase.figures.drawing
    import linphase.figures.evolution
    import linphase.pages.explorer
    import linphase.pages.report
    import linphase.sweeps.local  # noqa: F401


# --- Lanes -----------------------------------------------------------------------------------------------------------


def _all_lanes(ground: Ground, options: argparse.Namespace, kinds: list[str], deadline: float) -> list[Result]:
    """Attack in as many processes as there are cores until the deadline; tell what gives way as it does."""
    lanes = len(os.sched_getaffinity(0))
    readers: list[Connection] = []
    for lane in range(lanes):
        reader, writer = Pipe(duplex=False)
        if not os.fork():
            code = 1
            try:
                for result in _lane(ground, options.seed, kinds, range(lane, sys.maxsize, lanes), deadline):
                    writer.send(result)
                code = 0
            except BaseException:  # noqa: BLE001 - told here; it must not go on as the parent
                traceback.print_exc()
            os._exit(code)
        writer.close()
        readers.append(reader)
    results = []
    while readers:
        for reader in wait(readers):
            try:
                results.append(reader.recv())  # type: ignore[union-attr]
                _tell(results[-1], options.seed)
            except EOFError:
                readers.remove(reader)  # type: ignore[arg-type]
    if any(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(lanes)):
        raise SystemExit("a lane broke down")
    return results


def _lane(ground: Ground, seed: int, kinds: list[str], numbers: range, deadline: float) -> Iterator[Result]:
    """One attack after the other, of the kind that has had the least of its share; until each was there, at least."""
    spent = dict.fromkeys(kinds, 0.0)
    turn = Counter[str]()
    while due := [kind for kind in kinds if time.monotonic() < deadline or numbers[turn[kind]] < len(ATTACKS[kind])]:
        kind = min(due, key=lambda kind: spent[kind] / SHARES[kind])
        began = time.monotonic()
        result = _attacked(ground, seed, kind, numbers[turn[kind]])
        turn[kind] += 1
        spent[kind] += time.monotonic() - began
        yield result


def _attacked(ground: Ground, seed: int, kind: str, number: int) -> Result:
    """One attack: which it is and what it does follow from the seed, the kind and the number."""
    dice = random.Random(f"{seed}/{kind}/{number}")
    attacks = ATTACKS[kind]
    if number < len(attacks):  # each once, before any comes again
        one = random.Random(f"{seed}/{kind}").sample(attacks, len(attacks))[number]
    else:
        one = dice.choices(attacks, [each.weight for each in attacks])[0]
    arena = Arena(ground.path / f"{kind}-{number}", ground, dice, number)
    count, failure = _act(one, arena)
    if not failure:
        shutil.rmtree(arena.path)
    return Result(kind, number, one.name, count, failure)


def _act(one: Attack, arena: Arena) -> tuple[int, str]:
    try:
        count = one.act(arena)
        return 1 if count is None else count, ""
    except Unavailable as error:
        ci = os.environ.get("LINPHASE_CI")
        return 0, f"cannot be made here: {error}" if ci else ""
    except AssertionError as error:
        why = str(error)
    except Exception:  # noqa: BLE001 - a defect of the attack, which must not end the others
        why = f"the attack itself failed: {traceback.format_exc()}"
    where = "\n".join(f"  {line}" for line in arena.told)
    return 1, f"{why}\n{where}"


# --- What is told ----------------------------------------------------------------------------------------------------


def _tell(result: Result, seed: int) -> None:
    if result.failure:
        again = f"python -m tests.attack --seed {seed} --only {result.kind} --number {result.number}"
        print(f"GAVE WAY: {result.name}: {result.failure}\n  again: {again}\n", flush=True)


def _print_table(results: list[Result], seconds: float) -> None:
    counts, failures = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for result in results:
        for name in (result.name, ""):
            counts[result.kind, name] += result.count
            failures[result.kind, name] += bool(result.failure)
    print(f"{'attacks in':<44}{seconds:>8.0f} s{'failures':>12}")
    for kind in SHARES:
        for name in ["", *(each.name for each in ATTACKS[kind])]:
            if (kind, name) in counts:
                label = f"  {name.replace('_', ' ')}" if name else kind
                print(f"{label:<44}{counts[kind, name]:>10,}{failures[kind, name]:>12,}")


if __name__ == "__main__":
    raise SystemExit(main())
