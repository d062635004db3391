"""One BLAS thread around every run, in workers and in-process: the same bits everywhere, and no worker in the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import scipy.linalg
from threadpoolctl import ThreadpoolController

_BUFFERS = 100 * 2**20  # bytes: numpy and scipy bring a BLAS each, with a buffer of 32 MiB, and a matrix or two


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    """Made once: it looks at every library of the process, and has each take its memory while there is room.

    OpenBLAS tries for ever to get its buffer where there is none (ulimit -v), and holds Python's lock meanwhile. So
    what the two need is asked for first: a MemoryError is an answer.
    """
    controller = ThreadpoolController()
    with controller.limit(limits=1, user_api="blas"):
        np.empty(_BUFFERS, dtype=np.uint8)
        square = np.ones((200, 200))  # of smaller ones OpenBLAS makes do without
        scipy.linalg.lu(square @ square)
    return controller


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread; also silence numpy where numbers overflow, for a divergence is an outcome."""
    with _controller().limit(limits=1, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
        yield
