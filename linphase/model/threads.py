"""One BLAS thread around every run, in workers and in-process: the same bits everywhere, and no worker in the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import scipy.linalg  # noqa: F401 - numpy and scipy bring a BLAS each; a controller knows those loaded before it
from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    """Made once: it looks at every library of the process."""
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread; also silence numpy where numbers overflow, for a divergence is an outcome."""
    with _controller().limit(limits=1, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
        yield
