"""What a run costs beyond its training: `python -m benchmarks.overhead [RUNS]` sweeps so many runs of d = 4.

It prints the overhead of a run, the memory of the sweeping process and its workers over time, the time of `linphase
status` and the number of files. 20,000 runs (the default) take a minute or two on two cores, 100,000 some ten.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from linphase.store.results import load
from linphase.sweeps.plan import available_cores

CONFIG = """
name = "overhead"
[task]
dimension = 4
rank = 1
[grid]
gamma_sigma2 = {{ start = -3.0, stop = 0.0, num = 10 }}
gamma_w = {{ start = 0.0, stop = 2.8, num = 10 }}
replicates = {replicates}
"""


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it (from /proc, so Linux only)."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from family(int(child))


def megabytes(pid: int) -> float:
    """Resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def watched(command: list[str], directory: Path, seconds: float) -> tuple[float, list[tuple[float, float]]]:
    """How long a command takes, and the memory of the largest process and of all of them, every so often."""
    seen: list[tuple[float, float]] = []
    done = threading.Event()
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)

    def look() -> None:
        while not done.wait(seconds):
            sizes = []
            for pid in family(process.pid):
                try:
                    sizes.append(megabytes(pid))
                except OSError:
                    continue
            seen.append((max(sizes, default=0.0), sum(sizes)))

    watcher = threading.Thread(target=look)
    watcher.start()
    code = process.wait()
    took = time.perf_counter() - began
    done.set()
    watcher.join()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return took, seen


@click.command()
@click.argument("runs", type=click.IntRange(min=100), default=20_000)
@click.option("--jobs", type=click.IntRange(min=1), default=available_cores(), help="Worker processes.")
def main(runs: int, jobs: int) -> None:
    """Sweep many tiny runs and say what they cost beyond their training."""
    linphase = [sys.executable, "-m", "linphase"]
    with TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "many.toml").write_text(CONFIG.format(replicates=-(-runs // 100)))
        sweep = [*linphase, "sweep", "--config", "many.toml", "--out", "r", "--no-plot", "--jobs", str(jobs)]
        took, memory = watched(sweep, directory, 2.0)
        results = load(directory / "r").runs
        trained = float(results["elapsed_s"].sum())
        count = len(results)
        click.echo(f"{count} runs of d = 4 on {jobs} workers in {took:.1f} s, {trained:.1f} s of them training")
        click.echo(f"overhead: {1e3 * (took * jobs - trained) / count:.2f} ms of one core a run (bar: 5)")
        click.echo(f"          {1e3 * took / count:.2f} ms of wall time a run, training included")
        for share in (0.1, 0.5, 0.9, 1.0):
            largest, total = memory[min(len(memory) - 1, int(share * len(memory)))]
            click.echo(f"memory after {share:.0%}: {largest:.0f} MB the largest process, {total:.0f} MB all")
        began = time.perf_counter()
        facts = subprocess.run([*linphase, "status", "r", "--json"], cwd=directory, capture_output=True, check=True)
        click.echo(f"status: {time.perf_counter() - began:.2f} s (bar: 2)")
        assert json.loads(facts.stdout)["done"] == count
        files = [file for file in (directory / "r").rglob("*") if file.is_file()]
        click.echo(f"{len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
