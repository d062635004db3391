"""Which rows belong to a results directory: those of the runs that its configurations ask for.

A run's id is a hash of all that decides its numbers, the numerics version among it. So a row belongs where its id is
that of a run asked for, at some numerics version; every other row is a stranger's. Of one run the rows of the highest
numerics version are shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from linphase.config.config import parse_config
from linphase.runs.spec import NUMERICS_VERSION, RunSpec
from linphase.store.directory import configs
from linphase.store.reading import Unreadable, row_groups, scan
from linphase.store.rows import asked_table, is_null
from linphase.store.tables import RUNS

_AHEAD = 20  # numerics versions of a newer linphase that are looked for; a stranger's rows may name any number


class Asked:
    """The runs that some resolved configurations ask for, each once, in the order of their expansion.

    Parameters
    ----------
    resolved
        The configurations.
    versions
        Numerics versions at which runs may be there, beside this linphase's and all earlier ones.
    source
        Where the configurations stand, for messages.
    """

    def __init__(
        self, resolved: Iterable[Mapping[str, Any]], versions: Iterable[int] = (), source: str = "config"
    ) -> None:
        self.specs: dict[str, RunSpec] = {
            spec.run_id: spec
            for config in resolved
            for spec in parse_config(config, source=source, stored=True).expand()
        }
        newer = {version for version in versions if NUMERICS_VERSION < version <= NUMERICS_VERSION + _AHEAD}
        self._versions = (NUMERICS_VERSION, *sorted(newer | set(range(1, NUMERICS_VERSION)), reverse=True))
        self._ids: dict[int, pd.Index[str]] = {NUMERICS_VERSION: pd.Index(list(self.specs), dtype=object)}

    def places(self, ids: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where among the runs each of some ids (n,) stands, and the numerics version at which the run has this id.

        An id that no run has at any version gets -1 and 0.
        """
        place, version = np.full(len(ids), -1), np.zeros(len(ids), dtype=np.intp)
        given = np.asarray(ids, dtype=object)
        for number in self._versions:
            unknown = np.flatnonzero(place < 0)
            if not unknown.size:
                break
            place[unknown] = self._ids_at(number).get_indexer(pd.Index(given[unknown]))
            version[unknown[place[unknown] >= 0]] = number
        return place, version

    def all(self, ids: Sequence[str]) -> bool:
        """Whether every one of some ids is that of a run asked for."""
        return bool((self.places(ids)[0] >= 0).all())

    def shown(self, ids: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """The numerics version of each of some rows (n,), 0 for a stranger's, and whether it is its run's highest."""
        place, version = self.places(ids)
        highest = np.zeros(len(self.specs) + 1, dtype=np.intp)  # the last for strangers, whose place is -1
        np.maximum.at(highest, place, version)
        return version, (version > 0) & (version == highest[place])

    def contradicted(self, rows: pa.Table) -> str | None:
        """A column in which rows of runs asked for say other than was asked for; None where there is none.

        Numbers agree to 1e-9: another machine may raise d to a power with another last digit.
        """
        place = self.places(rows.column("run_id").to_pylist())[0]
        expected = self._told.iloc[place[place >= 0]]
        rows = rows.filter(pa.array(place >= 0, pa.bool_()))
        for name in expected.columns.intersection(rows.column_names):
            found, asked = np.array(rows.column(name).to_pylist(), dtype=object), expected[name].to_numpy(dtype=object)
            given = np.array([value is not None for value in found], dtype=bool)  # a key may be younger than the row
            if not all(map(_agree, found[given], asked[given])):
                return str(name)
        return None

    @cached_property
    def _told(self) -> pd.DataFrame:
        return asked_table(self.specs).drop(columns="run_id")  # which is another one at another numerics version

    def _ids_at(self, version: int) -> "pd.Index[str]":
        if version not in self._ids:  # hashed only where this version is looked for
            self._ids[version] = pd.Index([spec.id_at(version) for spec in self.specs.values()], dtype=object)
        return self._ids[version]


def _agree(found: Any, asked: Any) -> bool:
    if isinstance(asked, Mapping):  # a plugin's rule, told as data where the plugin is not here
        return True
    if isinstance(found, str | bool) or isinstance(asked, str | bool):
        return bool(found == asked)
    return not is_null(asked) and isclose(found, asked, rel_tol=1e-9)


def asked_in(root: Path) -> Asked:
    """The runs that the configurations of a results directory ask for."""
    versions = set().union(*scan(root, RUNS, _versions).values())
    return Asked(configs(root), versions, str(root / "configs"))


def _versions(file: Path) -> set[int]:
    """The numerics versions in a part; none in one that cannot be read, of which whoever needs its rows tells."""
    try:
        groups = [rows.column(0).unique().to_pylist() for rows in row_groups(file, RUNS, ("numerics_version",))]
    except Unreadable:
        return set()
    return set().union(*groups)
