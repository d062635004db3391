"""File systems of their own, small enough to fill."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def mounted(*arguments: object) -> bool:
    """Whether mount did this, which takes root."""
    if shutil.which("mount") is None:
        return False
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True).returncode == 0


@contextmanager
def small_disk(path: Path, size: str = "2m") -> Iterator[bool]:
    """A disk at this path until the end of the block; whether there is one."""
    path.mkdir(exist_ok=True)
    done = mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", path)
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "-l", str(path)], check=True)


def set_room(disk: Path, kilobytes: int) -> None:
    """Leave so much room on a disk."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
    ballast.write_bytes(bytes(max(0, free - kilobytes * 1024)))
