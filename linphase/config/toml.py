"""The tables of a configuration before they are checked: from a file or a mapping, with overrides put in place."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linphase.config.keys import Problems, show
from linphase.errors import ConfigError
from linphase.runs.spec import SECTIONS


def read_tables(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, or of the JSON file that results keep of one; ConfigError where it is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    return tables_of(content, str(path), kept=path.suffix == ".json")


def tables_of(content: bytes, path: str, *, kept: bool = False) -> dict[str, Any]:
    """The tables of the content of a TOML file (kept: of the JSON file of results), which messages call `path`."""
    try:
        text = content.decode("utf-8-sig")
        found = json.loads(text) if kept else tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: must be UTF-8 text, found byte {error.object[error.start]:#04x} at position {error.start}"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError with line and column, or an integer of thousands of digits
        raise ConfigError(f"{path}: is not valid {'JSON' if kept else 'TOML'}: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: must be a table of keys, found {show(found)}")
    return found


DEEPEST = 8  # levels of tables and lists in a configuration, several more than any key has


def check_depth(config: Mapping[str, Any], source: str) -> None:
    """Refuse what is nested so deeply that to walk it, or to show it, would end in a RecursionError."""
    level, depth = [value for value in config.values() if isinstance(value, Mapping | list | tuple)], 1
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ConfigError(f"{source}: tables and lists nested at most {DEEPEST} deep are required, found more")
        entries = (each.values() if isinstance(each, Mapping) else each for each in level)
        level = [value for each in entries for value in each if isinstance(value, Mapping | list | tuple)]


def plain(value: Any) -> Any:
    """Lists and dictionaries as TOML would give them, from tuples and numpy arrays too."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


_EXPONENTS = {"gamma_variance_ratio": "init.gamma_variance_ratio"}  # axes that go by a short name beside the start's


def flat_grid(grid: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """The grid with tables such as [grid.task] turned into dotted names, in the order of the file."""
    flat: dict[str, Any] = {}
    for given, value in grid.items():
        key = _EXPONENTS.get(given, given)
        is_table = key in SECTIONS and isinstance(value, Mapping)
        entries = {f"{key}.{name}": entry for name, entry in value.items()} if is_table else {key: value}
        for name in (name for name in entries if name in flat):
            problems.add(("grid", name), "is given twice, as a quoted name and in a table; remove one")
        flat |= entries
    return flat


def renamed(config: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A configuration some of whose keys, by their dotted names, have other names, in their section and as axes."""
    tables = dict(config)
    for section in (section for section in SECTIONS if isinstance(config.get(section), Mapping)):
        dotted = {names.get(f"{section}.{key}", f"{section}.{key}"): value for key, value in config[section].items()}
        tables[section] = {key.partition(".")[2]: value for key, value in dotted.items()}
    if isinstance(config.get("grid"), Mapping):
        tables["grid"] = {names.get(key, key): value for key, value in config["grid"].items()}
    return tables


def override_with(config: dict[str, Any], override: str, problems: Problems) -> None:
    """Put the value of one KEY=VALUE in its place in the configuration."""
    key, equals, text = override.partition("=")
    path = _key_path(key)
    if not (equals and path):
        problems.lines.append(f"--set takes KEY=VALUE, such as task.rank=8, found {show(override)}")
        return
    if path[0] == "grid" and len(path) > 2 and path[1] in SECTIONS:
        path = ("grid", f"{path[1]}.{path[2]}", *path[3:])
    *tables, name = path
    table: Any = config
    for depth, part in enumerate(tables, start=1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            where = ".".join(tables[:depth])
            problems.lines.append(f"--set {key.strip()}: {where} must be a table, found {show(table)}")
            return
    table[name] = toml_value(text)
    problems.overridden.append(path)


def _key_path(key: str) -> tuple[str, ...]:
    """The parts of a dotted TOML key, () if it is none."""
    try:
        table = tomllib.loads(f"{key} = 0")
    except (ValueError, RecursionError):
        return ()
    path = []
    while isinstance(table, dict) and len(table) == 1:
        (part,) = table
        path.append(part)
        table = table[part]
    return () if isinstance(table, dict) else tuple(path)


def toml_value(text: str) -> Any:
    """A value as TOML reads it; text that is no TOML is taken as it is."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return table["value"] if len(table) == 1 else text


def config_toml(resolved: Mapping[str, Any]) -> str:
    """A resolved configuration as a TOML file that describes the same runs."""
    lines = [f"name = {_toml(resolved['name'])}"]
    for section, table in resolved.items():
        if section != "name":
            lines += ["", f"[{section}]"]
            lines += [
                f"{_toml(key) if '.' in key else key} = {_toml(value)}"
                for key, value in table.items()
                if value is not None
            ]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(entry)}' for key, entry in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)  # of strings and numbers JSON is TOML
