"""A section of the configuration: a frozen model, and the canonical JSON that run ids are hashes of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from linphase.errors import ConfigError, LinphaseError
from linphase.model.registry import Registry, place_of

STRICT = ConfigDict(strict=True, allow_inf_nan=False)  # true is no number, 3.0 no integer

# The text that run ids and digests are hashes of.
canonical_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


class Younger:
    """Marks a key, in its `Annotated`, that was added when results existed already.

    It is hashed only where it differs from its default, which is what stood before: so old run ids stay.
    """


class Content:
    """Marks a key, in its `Annotated`, that holds the digest of an array of the user's own: it is no axis.

    In a user's file it names the array's file.
    """


class Internal:
    """Marks a key, in its `Annotated`, that follows from another table: users are not offered it."""


@dataclass(frozen=True)
class Formerly:
    """Marks a key, in its `Annotated`, that had another name when results existed already.

    It is hashed under that name, and read under it from results directories: so old run ids stay.
    """

    name: str


class Section(BaseModel):
    """A table of the configuration: frozen, strictly typed, without unknown keys.

    The title of a field says what its key means, the description what it must be.
    Raises ConfigError, with every key that is not as required, where it is made of other values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", **STRICT)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError("\n".join(dict.fromkeys(self._problems(error)))) from None

    @classmethod
    def _problems(cls, error: ValidationError) -> list[str]:
        """What is wrong, a line a key: what it must be and what was found."""
        lines = []
        for each in error.errors(include_url=False):
            key = str(each["loc"][0]) if each["loc"] else ""
            if key in cls.model_fields:
                found = "none" if each["type"] == "missing" else repr(each["input"])
                lines.append(f"{cls.__name__}: {key} must be {cls.model_fields[key].description}, found {found}")
            elif key in (renamed := cls.former_names()):
                lines.append(f"{cls.__name__}: {key} was renamed to {renamed[key]}, found {each['input']!r}; rename it")
            elif each["type"] == "extra_forbidden":
                known = ", ".join(cls.model_fields) or "none"
                lines.append(f"{cls.__name__}: {key} is not a key; known are {known}")
            else:  # of several keys together
                lines.append(f"{cls.__name__}: {each['msg'].removeprefix('Value error, ')}")
        return lines

    @classmethod
    def former_names(cls) -> dict[str, str]:
        """The keys that had another name, by that name."""
        marked = ((key, mark) for key, field in cls.model_fields.items() for mark in field.metadata)
        return {mark.name: key for key, mark in marked if isinstance(mark, Formerly)}

    @classmethod
    def younger_keys(cls) -> dict[str, Any]:
        """The keys that were added when results existed already, and their defaults."""
        return {key: field.default for key, field in cls.model_fields.items() if Younger in field.metadata}

    def used(self) -> dict[str, Any]:
        """The keys that decide a run's numbers, and their values; only these are hashed."""
        values = self.model_dump()
        for key, default in self.younger_keys().items():
            if values[key] == default:
                del values[key]
        for former, key in self.former_names().items():
            if key in values:
                values[former] = values.pop(key)
        return values

    @cached_property
    def used_json(self) -> str:
        """Their canonical JSON: made once, as thousands of runs share a section."""
        return canonical_json(self.used())


class Choice(Section):
    """A section in which one key, the selector, chooses the class, whose fields are the keys that this choice uses.

    A family names its selector; a member declares its own name by it, as `class HeavyBall(Dynamics, kind="heavy_ball")`
    does, and is a choice of the configuration from then on. Two members may share a key of one type.
    """

    selector: ClassVar[str]  # kind, rule
    default: ClassVar[str]  # the choice where none is made
    members: ClassVar[Registry[Any]]
    younger: ClassVar[bool] = False  # whether the section came when results existed already: hashed where it is used
    version: ClassVar[int] = 1  # raised by its author when its numbers change; above 1 it is part of run ids

    @classmethod
    def declare(cls, name: str) -> None:
        """Make this class the choice of a name.

        Raises LinphaseError where another class has the name, or a key has another type in another member.
        """
        place = place_of(cls)
        for other, its_place in ((cls.members[each], cls.members.places[each]) for each in cls.members):
            for key in cls.model_fields.keys() & other.model_fields.keys():
                mine, its = cls.model_fields[key], other.model_fields[key]
                if its_place != place and mine.annotation != its.annotation:
                    raise LinphaseError(
                        f"{cls.selector} {name!r}: its key {key} must be what it is in {its_place}, {its.description}, "
                        f"found {mine.description} in {place}. Rename the key, or give it the type that it has there"
                    )
        cls.members.declare(name, cls, place)
        setattr(cls, cls.selector, name)

    @property
    def name(self) -> str:
        """The name of this choice."""
        return str(getattr(self, self.selector))

    @classmethod
    def is_usual(cls, used: Mapping[str, Any]) -> bool:
        """Whether the keys used of a section that came later are those of before it came."""
        return cls.younger and dict(used) == {cls.selector: cls.default}

    def used(self) -> dict[str, Any]:
        return {self.selector: self.name, **({"version": self.version} if self.version > 1 else {}), **super().used()}
