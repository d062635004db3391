"""Commands as forks of a process that has linphase imported: real processes, to kill, that start in milliseconds.

The process that forks must never run linphase itself: its threads and its caches would be those of every child.
"""

import atexit
import os
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.processes import members

PATIENCE = 120.0  # seconds after which a process counts as hanging


@dataclass(frozen=True)
class Ended:
    code: int  # negative: the signal that ended it
    out: str  # both streams
    seconds: float
    cpu: float  # seconds of a core
    peak: int  # bytes of memory at most, those of the imported modules (about 200 MB) among them


class Child:
    """A process that does some work in a session of its own, its output in a file."""

    def __init__(self, work: Callable[[], object], out: Path, cwd: Path) -> None:
        self._out, self._began = out, time.monotonic()
        out.touch()
        with warnings.catch_warnings(action="ignore"):  # later Pythons warn of threads, which only wait here
            self.pid = os.fork()
        if not self.pid:
            _be(work, out, cwd)
        self._descriptor = os.pidfd_open(self.pid)

    def kill(self) -> None:
        """Kill this process alone; its own children have to see to themselves."""
        os.kill(self.pid, signal.SIGKILL)

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends in so many seconds."""
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    def wait(self, seconds: float = PATIENCE) -> Ended:
        """How it ended; it is killed with all its children where it takes too long."""
        late = not self.ends_within(seconds)
        if late:
            for member in members(self.pid):
                os.kill(member, signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self._descriptor)
        out = self._out.read_text(errors="replace")
        assert not late, f"hangs: not done in {seconds:.0f} s: {out}"
        code = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        return Ended(code, out, time.monotonic() - self._began, cpu, usage.ru_maxrss * 1024)


def _be(work: Callable[[], object], out: Path, cwd: Path) -> None:
    """The life of a child; it never returns."""
    code = 70
    try:
        os.setsid()
        os.chdir(cwd)
        for file, flags, targets in ((os.devnull, os.O_RDONLY, (0,)), (out, os.O_WRONLY | os.O_CREAT, (1, 2))):
            descriptor = os.open(file, flags, 0o666)
            for target in targets:
                os.dup2(descriptor, target)
            os.close(descriptor)
        code = _worked(work)
    finally:
        os._exit(code)


def _worked(work: Callable[[], object]) -> int:
    """Do the work and end as the interpreter does; the exit code."""
    code = 0
    try:
        work()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter tells it
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        print(f"Exception ignored in: {sys.stdout.name} {error}", file=sys.stderr)
        code = 120
    sys.stderr.flush()
    return code
