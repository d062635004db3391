"""One BLAS thread for every test, as in every sweep: the same bits, and no time lost in threads on small matrices."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
