"""Parts that another program made, under the names that their content gives them; and which there are."""

import hashlib
import os

import pyarrow.parquet as pq


def add_part(directory, rows):
    """A part of these rows; returns its file."""
    file = directory / "draft"
    pq.write_table(rows, file)
    return file.rename(directory / f"part-{hashlib.blake2b(file.read_bytes(), digest_size=20).hexdigest()}.parquet")


def flips(size, every=97, tail=1500, dense=23):
    """Places of bytes: at every so many, and densely in the footer."""
    return sorted({*range(0, size, every), *range(max(0, size - tail), size, dense)})


def add_bytes(directory, content):
    """A part of these bytes; returns its file."""
    file = directory / f"part-{hashlib.blake2b(content, digest_size=20).hexdigest()}.parquet"
    file.write_bytes(content)
    return file


def visible(directory):
    return sorted(name for name in os.listdir(directory) if not name.startswith("."))
