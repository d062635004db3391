"""Keys of the configuration: what each requires, and the problems found."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self, TypeAlias, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from linphase.errors import ConfigError
from linphase.model.section import STRICT

Path: TypeAlias = tuple[str | int, ...]  # of a key in the configuration, such as ("grid", "task.rank", 1)


@dataclass
class Problems:
    """All that is wrong with one configuration, to be raised together."""

    source: str
    overridden: list[Path] = field(default_factory=list)  # keys that --set has given
    lines: list[str] = field(default_factory=list)

    def add(self, path: Path, text: str) -> None:
        """Note a problem at a key; `text` says what is required and what was found."""
        separator = " " if self.is_overridden(path) else ": "
        self.lines.append(f"{self.origin(path)}{separator}{dotted(path)}: {text}")

    def origin(self, path: Path) -> str:
        """Where the value at a key comes from: --set, or the file."""
        return "--set" if self.is_overridden(path) else self.source

    def is_overridden(self, path: Path) -> bool:
        """Whether --set has given this key, its table, or a part of it (the whole grid aside)."""
        return any(
            path[: len(given)] == given or (path != ("grid",) and given[: len(path)] == path)
            for given in self.overridden
        )

    def raise_if_any(self) -> None:
        """Raise one ConfigError with a line for every problem."""
        if self.lines:
            raise ConfigError("\n".join(dict.fromkeys(self.lines)))


@dataclass(frozen=True)
class Key:
    """What a key of the configuration requires: as a pydantic type, and in words."""

    adapter: TypeAdapter[Any]
    requirement: str
    is_integer: bool
    takes_numbers: bool

    @classmethod
    def of(cls, field: FieldInfo, annotation: Any = None) -> Self:
        """The key behind a pydantic field, whose description is the requirement in words."""
        annotation = annotation or field.annotation
        adapter = TypeAdapter(Annotated[annotation, field], config=STRICT)
        return cls(adapter, field.description or "", annotation is int, get_origin(annotation) is not Literal)

    def read(self, value: object) -> tuple[Any] | None:
        """The validated value in a tuple of one; None if it is not as required."""
        try:
            return (self.adapter.validate_python(value),)
        except ValidationError:
            return None

    def check(self, value: object, path: Path, problems: Problems) -> tuple[Any] | None:
        """The same, with the problem noted."""
        read = self.read(value)
        if read is None:
            problems.add(path, f"must be {self.requirement}, found {show(value)}")
        return read


def dotted(path: Path) -> str:
    """A path as a reader of TOML knows it, such as grid.width[2]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def show(value: object) -> str:
    """A value as it would stand in the TOML file, shortened."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int) and value.bit_length() > 64:
        text = f"an integer of about 10^{int(value.bit_length() * 0.30103)}"
    elif isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, Mapping):
        text = f"{{ {', '.join(f'{key} = {show(entry)}' for key, entry in value.items())} }}" if value else "{}"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(show(entry) for entry in value[:20])}{', ...' if len(value) > 20 else ''}]"
    else:
        text = repr(value) if isinstance(value, int | float) else str(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."


def show_some(values: Sequence[object]) -> str:
    """The first few of many values."""
    more = f" and {len(values) - 3} more" if len(values) > 3 else ""
    return ", ".join(show(value) for value in values[:3]) + more
