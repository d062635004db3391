"""What a run was made with: versions and hardware that can change the last bits of its numbers."""

import platform
from functools import lru_cache
from pathlib import Path

import numpy
import scipy
import scipy.linalg
from threadpoolctl import threadpool_info

from linphase import __version__


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Values of the provenance columns of this process; no host, user or path."""
    return {
        "linphase_version": __version__,
        "python_version": platform.python_version(),
        "numpy_version": numpy.__version__,
        "scipy_version": scipy.__version__,
        "blas": _blas(),
        "cpu": _cpu(),
    }


def _blas() -> str:
    libraries = {
        " ".join(str(pool[key]) for key in ("internal_api", "version", "architecture") if pool.get(key))
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }
    return ", ".join(sorted(libraries)) or "unknown"


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
