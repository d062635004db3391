"""Which attacks there are, by kind, and what share of the time each kind gets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SHARES = {"kills": 0.4, "faults": 0.12, "flips": 0.1, "crafted": 0.26, "strangers": 0.06, "shortage": 0.06}
ATTACKS: dict[str, list["Attack"]] = {kind: [] for kind in SHARES}


class Unavailable(Exception):
    """What an attack needs is not there: root, a compiler."""


@dataclass(frozen=True)
class Attack:
    kind: str
    name: str
    act: Callable[[Any], int | None]  # given an Arena; returns how many attacks that were, where it was not one
    weight: int  # how often it is chosen among those of its kind


def attack(kind: str, weight: int = 1) -> Callable[[Callable[[Any], int | None]], Callable[[Any], int | None]]:
    """Declare an attack: a function of an Arena that raises AssertionError where linphase gives way."""

    def declare(act: Callable[[Any], int | None]) -> Callable[[Any], int | None]:
        ATTACKS[kind].append(Attack(kind, act.__name__, act, weight))
        return act

    return declare
