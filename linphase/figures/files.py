"""Figures as files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.style import context

from linphase.errors import LinphaseError

FORMATS = ("png", "pdf", "svg")


def check_format(path: Path) -> str:
    """The format that a figure's name asks for: png, pdf or svg; LinphaseError for any other."""
    format = path.suffix.lower().removeprefix(".")
    if format not in FORMATS:
        raise LinphaseError(
            f"{path}: a figure's name must end in .png, .pdf or .svg, found {path.suffix or 'no suffix'!r}"
        )
    return format


def save(
    figure: Figure, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None, *, dpi: float = 300
) -> None:
    """Write a figure as png (of 300 dpi), pdf or svg by the path's suffix, complete or not at all.

    metadata (the digest of a config, the version of linphase) goes into the file: as text chunks of a PNG,
    the Subject of a PDF, the Description of an SVG. Text stays text, and no date is stored: the same figure
    gives the same bytes.

    Raises LinphaseError for another suffix or a path that cannot be written.
    """
    path = Path(path)
    format = check_format(path)
    told = {str(key): str(value) for key, value in (metadata or {}).items()}
    line = "; ".join(f"{key}: {value}" for key, value in told.items())
    formats: dict[str, dict[str, Any]] = {
        "png": dict(told),
        "pdf": {"Subject": line, "CreationDate": None},
        "svg": {"Description": line, "Date": None},
    }
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with context(["default", {"svg.fonttype": "none", "svg.hashsalt": "linphase", "pdf.fonttype": 42}]):
            figure.savefig(part, format=format, dpi=dpi, metadata=formats[format])
        os.replace(part, path)
    except OSError as error:
        raise LinphaseError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
