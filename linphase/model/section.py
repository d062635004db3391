"""A section of the configuration: a frozen model, and the canonical JSON that run ids are hashes of."""

import json
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict

STRICT = ConfigDict(strict=True, allow_inf_nan=False)  # true is no number, 3.0 no integer

# The text that run ids and digests are hashes of.
canonical_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


class Section(BaseModel):
    """A table of the configuration: frozen, strictly typed, without unknown keys.

    The title of a field says what its key means, the description what it must be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", **STRICT)

    def used(self) -> dict[str, Any]:
        """The keys that decide a run's numbers, and their values; only these are hashed."""
        return self.model_dump()

    @cached_property
    def used_json(self) -> str:
        """Their canonical JSON: made once, as thousands of runs share a section."""
        return canonical_json(self.used())
