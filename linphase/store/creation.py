"""A new results directory, or new runs in an old one: what may stand together, and what is left alone."""

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linphase.errors import ResultsError
from linphase.store.configurations import config_names, is_results, read_config
from linphase.store.files import explained, remove, sync
from linphase.store.tables import FAILURES, RUNS, TRAJECTORIES

if TYPE_CHECKING:
    from linphase.config import SweepConfig

_DIRECTORIES = ("configs", RUNS.name, TRAJECTORIES.name, FAILURES.name)
_CLAIM = ".first.json"  # the first configuration: what all others have to agree with


def create(path: str | Path, config: "SweepConfig") -> None:
    """Make a results directory for a configuration, or add the configuration to an existing one.

    All configurations of a directory agree outside the grid's values and replicates. Any number of processes
    may create the same directory at once.

    Raises
    ------
    ResultsError
        If the directory holds something else or results of another configuration, or cannot be written.
    """
    root = Path(path)
    resolved = config.resolved()
    with explained(root):
        _refuse_foreign(root)
        for name in _DIRECTORIES:
            (root / name).mkdir(parents=True, exist_ok=True)
        for earlier in config_names(root):
            _refuse_difference(root, read_config(root / "configs" / earlier), resolved)
        text = json.dumps(resolved, indent=1, allow_nan=False) + "\n"
        # Of two different configurations at the same moment only one can make this file.
        _create_file(root / "configs" / _CLAIM, text)
        _refuse_difference(root, read_config(root / "configs" / _CLAIM), resolved)
        _create_file(root / "configs" / f"{config.digest}.json", text)


def _refuse_foreign(root: Path) -> None:
    """Write neither over a file nor in between somebody's other files."""
    if root.exists() and not root.is_dir():
        raise ResultsError(f"{root}: is a file, results need a directory. Give another one with --out")
    if not root.exists() or is_results(root) or (root / "configs" / _CLAIM).exists():
        return
    foreign = set(_visible_names(root)) - set(_DIRECTORIES)
    if (root / "configs").is_dir():
        foreign |= {f"configs/{name}" for name in _visible_names(root / "configs")}
    if foreign and not is_results(root):  # asked again: another process may have made it one just now
        raise ResultsError(
            f"{root}: is not empty and no results directory, it holds {min(foreign)}. Give another directory with --out"
        )


def _visible_names(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if not name.startswith(".")]


def _refuse_difference(root: Path, earlier: dict[str, Any], resolved: dict[str, Any]) -> None:
    from linphase.config import difference

    if lines := difference(earlier, resolved):
        raise ResultsError(
            f"{root}: holds results of another configuration; "
            "only the name, the grid's values and replicates may differ:\n"
            + "\n".join(f"  {line}" for line in lines)
            + "\nGive another directory with --out, or another name in the configuration"
        )


def _create_file(file: Path, text: str) -> None:
    """Write a file that no one ever sees half-written; the one that is there already stays."""
    draft = file.with_name(f".{uuid.uuid4().hex}")
    try:
        with draft.open("x", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return
        except OSError:  # no hard links here (or the reply was lost on the way)
            if not file.exists():
                os.rename(draft, file)
        sync(file.parent)
    finally:
        remove([draft])
