"""The configurations of a results directory, which also make it one."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from linphase.config.config import difference, parse_config, under_todays_names
from linphase.errors import ConfigError, ResultsError, Unavailable, check_argument
from linphase.files import ABSENT, UNREADABLE, entries, printable, readable
from linphase.model import arrays

ARRAYS = arrays.DIRECTORY  # where the arrays of the user are kept, each as DIGEST.npy


def configs(path: str | Path) -> list[dict[str, Any]]:
    """The resolved configurations whose runs a results directory holds, or is to hold; ResultsError where they differ.

    One that differs outside the grid's values was copied here: its runs, averaged with the others, would mean nothing.
    """
    root = existing(path)
    found = {name: read_config(root / "configs" / name) for name in config_names(root)}
    first = next(iter(found), "")
    for name in found:
        if name != first and (lines := difference(found[first], found[name])):
            raise ResultsError(
                f"{root}: configs/{printable(first)} and configs/{printable(name)} are of different sweeps:\n"
                + "\n".join(f"  {line}" for line in lines)
                + f"\nMove the one that does not belong here out of configs/; then linphase check {root} names its runs"
            )
    return list(found.values())


def config_names(root: Path) -> list[str]:
    """The files of the configurations; none where there is no such directory."""
    return [name for name in entries(root / "configs") if name.endswith(".json") and not name.startswith(".")]


def is_results(root: Path) -> bool:
    """Whether a directory has a configuration, which is what makes it one of results."""
    return bool(config_names(root))


def existing(path: str | Path) -> Path:
    """The path, if it is a results directory."""
    check_argument("path", path, (str, os.PathLike), "the path of a results directory")
    root = Path(path)
    with readable(root):
        try:
            os.stat(root)
        except (FileNotFoundError, NotADirectoryError):
            text = f"no such results directory. `linphase sweep --config FILE --out {root}` makes one"
            raise ResultsError(f"{root}: {text}") from None
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
                raise
            raise ResultsError(f"{root}: no results directory can be there: {error.strerror}. Give another") from error
        refuse_links(root)
    if not is_results(root):
        raise ResultsError(
            f"{root}: is no results directory, it has no configs/*.json. "
            "Give one that `linphase sweep` has written, such as results/quickstart"
        )
    return root


def refuse_links(root: Path) -> None:
    """Raise ResultsError where a directory of a results directory is a link to a place outside it."""
    tables = ("runs", "trajectories", "failures")
    for name in ("configs", ARRAYS, *tables, "quarantine", *(f"quarantine/{table}" for table in tables), ".claims"):
        if leads_out(root / name, root):
            raise ResultsError(
                f"{root / name}: a directory is required, found a link out of the results directory, which is not "
                "followed. Link the whole directory instead"
            )


def leads_out(path: Path, root: Path) -> bool:
    """Whether a path is a link to a place outside a directory."""
    try:
        # Not Path.is_symlink, which says no where it cannot look, from Python 3.14 on.
        is_link = stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise
    # Not Path.resolve, which raises RuntimeError on links that lead in a circle before Python 3.13.
    return is_link and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def read_config(file: Path) -> dict[str, Any]:
    """A resolved configuration, which `linphase.config.parse_config` reads."""
    shown = printable(str(file))
    try:
        if leads_out(file, file.parent.parent):
            raise ResultsError(f"{shown}: is a link out of the results directory. Move it out of configs/")
        if not stat.S_ISREG(os.stat(file).st_mode):  # to open a pipe would wait for ever
            raise ResultsError(f"{shown}: is no file. Move it out of configs/")
        resolved = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP):  # which are links to nothing
            raise Unavailable(f"{shown}: {UNREADABLE.format(error.strerror or error)}") from error
        raise ResultsError(f"{shown}: cannot be read as a configuration: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{shown}: cannot be read as a configuration: {error}") from error
    if not isinstance(resolved, dict) or not isinstance(resolved.get("grid"), dict):
        raise ResultsError(f"{shown}: is no resolved configuration of linphase. Move it out of configs/")
    try:
        parse_config(resolved, source=shown, stored=True)
    except ConfigError as error:
        raise ResultsError(
            f"{error}\nA newer linphase wrote this file, or it is damaged. "
            "Update linphase: pip install --upgrade linphase; or move the file out of configs/"
        ) from error
    return under_todays_names(resolved)
