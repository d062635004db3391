"""What the explorer's file holds, read as rules.js reads it."""

import base64
import json
import re
from typing import Any

import numpy as np


def data_of(page: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def numbers_of(text: str) -> np.ndarray:
    upper = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, 3)
    return np.pad(upper, ((0, 0), (1, 0))).copy().view("<f4").ravel()


def column_of(form: dict, count: int) -> list[Any]:
    """A column of so many runs, None for null."""
    if "numbers" in form:
        return [None if np.isnan(each) else float(each) for each in numbers_of(form["numbers"])]
    if "codes" in form:
        return [form["of"][code] for code in np.frombuffer(base64.b64decode(form["codes"]), "<u2")]
    return form["each"] if "each" in form else [form["all"]] * count


def owners_of(data: dict, facet: int = 0) -> np.ndarray:
    """The owner of every place (rows, columns), -1 beyond the cells."""
    shape = len(data["y"]["values"]), len(data["x"]["values"])
    lengths = data["owners"][facet]
    if lengths is None:
        return np.arange(shape[0] * shape[1]).reshape(shape)
    return np.repeat(lengths[::2], lengths[1::2]).reshape(shape)


def places_of(data: dict) -> list[tuple[int, int]]:
    """Row and column of every run."""
    x, y = (column_of(data["place"][axis], data["count"]) for axis in ("x", "y"))
    return list(zip(y, x, strict=True))
