"""Numbers as short text, which rules.js reads back."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_CODES = 2**16


def pack_numbers(values: Sequence[float] | NDArray[np.floating]) -> str:
    """Numbers as base64 of three bytes each: a float32 rounded to its upper three: four digits and more."""
    with np.errstate(over="ignore"):
        bits = np.asarray(values, dtype="<f4").view("<u4")
    rounded = np.where(np.isfinite(bits.view("<f4")), bits + np.uint32(0x80), bits).astype("<u4")
    return base64.b64encode(rounded.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()).decode("ascii")


def pack_codes(codes: Sequence[int] | NDArray[np.integer]) -> str:
    """Integers from 0 to MOST_CODES - 1 as base64 of two bytes each."""
    return base64.b64encode(np.asarray(codes, dtype="<u2").tobytes()).decode("ascii")
