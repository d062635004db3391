"""The configuration described: a JSON Schema for editors, and a starter file with every key and its default.

Both are made from the pydantic fields of their sections, so that they cannot say anything else than what is checked.
"""

import json
from collections.abc import Mapping
from textwrap import TextWrapper
from typing import Any

from pydantic.fields import FieldInfo

from linphase.config.keys import (
    LEVELS,
    NAME,
    REPLICATES,
    VARIANCE_KEYS,
    WIDTH_KEYS,
    Key,
    axis_keys,
    declared,
    fields_of,
    show,
    users_of,
)
from linphase.config.own import DataConfig
from linphase.model.draws import TaskConfig
from linphase.model.network import Start
from linphase.model.section import Content, Internal, Section
from linphase.runs.spec import FAMILIES, SECTIONS

SCHEMA_FILE = "linphase.schema.json"
STARTER_FILE = "sweep.toml"

_DRAFT = "http://json-schema.org/draft-07/schema#"  # what the TOML extensions of editors read
_AXIS = "One value, a list of values, or { start, stop, num }: evenly spaced, both ends included"

Schema = dict[str, Any]


def config_schema() -> Schema:
    """JSON Schema of a sweep's TOML file.

    It knows keys, types and bounds. What must hold between keys, such as a rank of at most the dimension, only
    `linphase.load_config` knows.
    """
    sections = {
        table: _table({name: _key_schema(f"{table}.{name}", field) for name, field in fields.items()})
        for table, (_, fields) in tables().items()
    }
    sections["data"]["required"] = [name for name, field in DataConfig.model_fields.items() if field.is_required()]
    properties = {
        "name": _key_schema("name", NAME, str),
        "plugins": _PLUGINS,
        "grid": _grid_schema(),
        "refine": _table({"levels": _key_schema("levels", LEVELS, int) | {"default": 0}}),
        **sections,
    }
    return {
        "$schema": _DRAFT,
        "title": "A sweep of linphase",
        **_table(properties),
        "required": ["name", "grid"],
    }


def tables() -> dict[str, tuple[type[Section], dict[str, FieldInfo]]]:
    """The tables that a file may have beside `[grid]`: what declares each, and the keys that it offers."""
    found: dict[str, tuple[type[Section], dict[str, FieldInfo]]] = {}
    for section, model in SECTIONS.items():
        fields = fields_of(section, declared())
        found[section] = model, {name: field for name, field in fields.items() if Internal not in field.metadata}
        if model is TaskConfig:
            found["data"] = DataConfig, dict(DataConfig.model_fields)
    return found


def config_schema_text() -> str:
    """The JSON Schema as it is printed, and kept in configs/."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


def used_with(key: str) -> str:
    """Which choices of its section use a key, such as `dynamics.kind = "gd"`; empty where all do."""
    users = users_of(key, declared())
    if not users:
        return ""
    section = key.partition(".")[0]
    return f"{section}.{FAMILIES[section].selector} = {' or '.join(map(show, users))}"


_PLUGINS = {
    "description": "Python files that declare observables, dynamics or panels of your own, relative to this file.",
    "type": "array",
    "items": {"type": "string"},
}


def _table(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _grid_schema() -> Schema:
    """The axes: a variance key, a width key, and facets as quoted names or in tables."""
    schemas = {name: _axis_schema(name, field) for name, field in axis_keys(declared()).items()}
    axes = {name: schemas[name] for name in Start.model_fields}
    facets = {name: schema for name, schema in schemas.items() if name not in axes}
    tables: dict[str, dict[str, Schema]] = {}
    for key, schema in facets.items():
        section, _, name = key.partition(".")
        tables.setdefault(section, {})[name] = schema
    replicates = {"replicates": _key_schema("replicates", REPLICATES, int) | {"default": 1}}
    nested = {section: _table(entries) for section, entries in tables.items()}
    return {
        **_table({**axes, **facets, **replicates, **nested}),
        "description": "The axes; every combination of their values is a cell.",
        "allOf": [{"oneOf": [{"required": [key]} for key in pair]} for pair in (VARIANCE_KEYS, WIDTH_KEYS)],
    }


def _axis_schema(name: str, field: FieldInfo) -> Schema:
    schema, key = _key_schema(name, field), Key.of(field)
    schema.pop("default", None)
    description = f"{schema.pop('description')} {_AXIS if key.takes_numbers else 'One value or a list of values'}."
    choices = schema.pop("anyOf", None) or [schema]
    shapes = [*choices, {"type": "array", "items": _either(choices), "minItems": 1, "uniqueItems": True}]
    if key.takes_numbers:
        end = _either([choice for choice in choices if choice.get("type") in ("number", "integer")])
        spaced = _table({"start": end, "stop": end, "num": {"type": "integer", "minimum": 1}})
        shapes.append({**spaced, "required": ["start", "stop", "num"]})
    return {"description": description, "anyOf": shapes}


def _key_schema(name: str, field: FieldInfo, annotation: Any = None) -> Schema:
    """What pydantic says of a key, as a schema without references; TOML has no null."""
    schema = Key.of(field, annotation).adapter.json_schema()
    definitions = schema.pop("$defs", {})
    meaning, required = schema.pop("title"), schema.pop("description")
    if "anyOf" in schema:
        choices = [_plain(choice, definitions) for choice in schema["anyOf"] if choice != {"type": "null"}]
        del schema["anyOf"]
        schema |= _either(choices)
    if schema.get("default", 0) is None:
        del schema["default"]
    if Content in field.metadata:
        schema.pop("pattern", None)  # that of the digest, which linphase puts in place of the file's name
    use = used_with(name)
    described = f"{sentence(meaning)}. Must be {required}.{f' Used with {use}.' if use else ''}"
    return {"description": described, **schema}


def _either(choices: list[Schema]) -> Schema:
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _plain(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """A schema with its reference put in place, without the names of Python's classes."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    plain = {key: value for key, value in schema.items() if key not in ("title", "description")}
    if "properties" in plain:
        plain["properties"] = {name: _plain(entry, definitions) for name, entry in plain["properties"].items()}
    return plain


# --- The starter ---------------------------------------------------------------------------------------------------

_STARTER = """\
#:schema ./linphase.schema.json
# A sweep of linphase: every combination of the values in [grid] is a cell of the phase diagram.
#   linphase sweep --config sweep.toml --dry-run    what would be run
#   linphase sweep --config sweep.toml              run it: seconds, as it stands
# A key behind # shows its default; take the # away to change it.

name = "my_sweep"  # the results go to results/my_sweep unless --out says otherwise

[grid]
# One variance key (gamma_sigma2 or init_variance) and one width key (gamma_w or width) are required. An axis is one
# value, a list of values, or { start, stop, num }: evenly spaced, both ends included.
gamma_sigma2 = { start = -3.0, stop = 0.0, num = 12 }  # the init variance is d^gamma_sigma2
gamma_w = { start = 0.0, stop = 2.8, num = 12 }        # the width is int(d^gamma_w), at least 1
# Any key of task, dynamics or stop, and run.precision, can be a further axis, under its name in quotes:
#"task.noise" = [0.5, 1.0]
# How many independent draws of task and start every cell gets:
#replicates = 1

[refine]
# How often cells are split in four where the outcome changes; both axes above must then be evenly spaced. From 0 to 10:
#levels = 0
"""
_CHOSEN = {"task.dimension": 32, "task.rank": 2}  # what the starter sets: a task that is quickly trained
_COMMENT = TextWrapper(width=120, initial_indent="# ", subsequent_indent="# ")


def starter() -> str:
    """A commented configuration to begin with: a small sweep, and every other key with its default."""
    lines = [_STARTER]
    for section, (model, fields) in tables().items():
        optional = model is DataConfig
        if optional:
            lines += _COMMENT.wrap(f"{(model.__doc__ or '').splitlines()[0]} They tell the task, its rank apart.")
        lines.append(f"{'#' if optional else ''}[{section}]")
        for name, field in fields.items():
            key = f"{section}.{name}"
            use = used_with(key)
            lines += _COMMENT.wrap(f"{sentence(field.title or '')}.{f' Used with {use}.' if use else ''}")
            value = _CHOSEN.get(key, None if field.is_required() else field.default)
            shown = "..." if value is None else show(value)  # a key that is not set has no default
            lines.append(f"{'' if key in _CHOSEN else '#'}{name} = {shown}")
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def sentence(text: str) -> str:
    """A text with a capital letter at its beginning, where that is a word and not a symbol or a value."""
    word = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if word.replace("-", "").isalpha() else text
