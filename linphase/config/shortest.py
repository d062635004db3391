"""A resolved configuration as short as a user would write it: only what has to be said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from linphase.config.config import parse_config
from linphase.config.toml import config_toml
from linphase.errors import LinphaseError

Tables = dict[str, Any]
_FILES = ("data", "target", "signal")  # keys of a task of one's own


def shortest_toml(resolved: Mapping[str, Any]) -> str:
    """The shortest TOML that sweeps to the same ids as a resolved configuration.

    The text of the user's own file is not stored, only the value of every key. Here evenly spaced values are
    { start, stop, num }, and but for those of the task keys at their defaults are left out, each only where the
    configuration keeps its digest. One with plugins, or whose task is data of one's own, is written whole: it is read
    with files that are not here.

    Examples
    --------
    >>> print(shortest_toml(results.configs[0]))
    """
    if "plugins" in resolved or any(resolved["task"].get(key) is not None for key in _FILES):
        return config_toml(resolved)
    shortest: Tables = {key: dict(table) if isinstance(table, Mapping) else table for key, table in resolved.items()}
    try:
        digest = parse_config(shortest).digest
    except LinphaseError:  # a key or kind of another version
        return config_toml(resolved)
    for section, key, spaced in list(_shorter(shortest)):
        kept = shortest[section]
        table = {each: value for each, value in kept.items() if each != key}
        shortest[section] = table if spaced is None else kept | {key: spaced}
        if not _is(shortest, digest):
            shortest[section] = kept
    return config_toml({section: table for section, table in shortest.items() if table != {}})


def _shorter(tables: Tables) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """By section and key what could stand instead of a value: nothing (None), or of an axis its ends."""
    for section, table in tables.items():
        for key, value in table.items() if isinstance(table, Mapping) else ():
            if section != "task":  # which is what the figures are of
                yield section, key, None
            if isinstance(value, list) and len(value) > 2 and all(isinstance(each, int | float) for each in value):
                yield section, key, {"start": value[0], "stop": value[-1], "num": len(value)}


def _is(tables: Tables, digest: str) -> bool:
    try:
        return parse_config(tables).digest == digest
    except LinphaseError:
        return False
