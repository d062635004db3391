"""What is declared by name: observables, dynamics, stop rules, panels; by linphase, by a plugin or in a notebook."""

from typing import Any, ClassVar, TypeVar

from linphase.errors import LinphaseError

T = TypeVar("T")


class Registry(dict[str, T]):
    """Declarations by name, in order; a name is declared in one place.

    Declaring it again in the same place (a notebook's cell run twice, a plugin loaded anew) replaces the first.
    """

    every: ClassVar[list["Registry[object]"]] = []
    revision: ClassVar[int] = 0  # of all declarations together: what follows from them is made once a revision

    def __init__(self, what: str, *, travels: bool = True) -> None:
        """what: as messages call it; travels: whether a worker needs the declarations, as it does not for looks."""
        super().__init__()
        self.what, self.travels = what, travels
        self.places: dict[str, str] = {}
        Registry.every.append(self)  # type: ignore[arg-type]

    def declare(self, name: str, thing: T, place: str) -> None:
        """Add a declaration; place: module and qualified name.

        Raises LinphaseError where another place has declared the name.
        """
        earlier = self.places.get(name, place)
        if earlier != place:
            raise LinphaseError(
                f"{self.what} {name!r}: a name of its own is required, found {place} and {earlier}. Rename one"
            )
        self[name], self.places[name] = thing, place
        Registry.revision += 1


def place_of(thing: Any) -> str:
    """MODULE:NAME of a class or function."""
    return f"{thing.__module__}:{thing.__qualname__}"


def forget(module: str) -> None:
    """Take back whatever a module has declared."""
    for registry in Registry.every:
        for name in [name for name, place in registry.places.items() if place.startswith(f"{module}:")]:
            del registry[name], registry.places[name]
            Registry.revision += 1


def modules() -> set[str]:
    """The modules that have declared something that workers need, linphase's own left out."""
    registries = [registry for registry in Registry.every if registry.travels]
    found = {place.partition(":")[0] for registry in registries for place in registry.places.values()}
    return {name for name in found if not name.startswith("linphase.")}
