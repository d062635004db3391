import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

CODE = """
import resource
from pathlib import Path
from linphase.model.threads import one_blas_thread
import numpy as np
room = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + 50 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (room, room))
try:
    with one_blas_thread():
        np.ones((200, 200)) @ np.ones((200, 200))
except MemoryError:
    print("told")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to know the memory of a process")
def test_too_little_memory_for_blas_is_an_error_and_no_wait_without_an_end():
    # One BLAS has room for its buffer of 32 MiB, the other has not: OpenBLAS would try for ever.
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(CODE)], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr
