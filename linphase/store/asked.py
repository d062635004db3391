"""Which rows belong to a results directory: those of the runs that its configurations ask for.

A run's id is a hash of all that decides its numbers, the numerics version among it. So a row belongs where its id is
that of a run asked for, at some numerics version; every other row is a stranger's. Of one run the rows of the highest
numerics version are shown.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from linphase.config.config import SweepConfig, parse_config
from linphase.runs.spec import NUMERICS_VERSION, SECTIONS, RunSpec
from linphase.store.directory import configs
from linphase.store.reading import Unreadable, row_groups, scan
from linphase.store.refining import Labels, labels_in
from linphase.store.rows import asked_for
from linphase.store.tables import RUNS, Table

_AHEAD = 20  # numerics versions of a newer linphase that are looked for; a stranger's rows may name any number


class Asked:
    """The runs that some resolved configurations ask for, each once, in the order of their expansion.

    specs has them by their ids. A sweep that refines its grid asks for the next level once all of the one before are
    settled; `levels` has the ids of each as far as they are asked for. Rows of runs that are on no level asked for, but
    that one can have, belong to the directory all the same: rows before them may be damaged, or not be there yet.

    Parameters
    ----------
    resolved
        The configurations.
    versions
        Numerics versions at which runs may be there, beside this linphase's and all earlier ones.
    source
        Where the configurations stand, for messages.
    labels
        What the cells of sweeps that refine came to; by default nothing is known.
    """

    def __init__(
        self,
        resolved: Iterable[Mapping[str, Any]],
        versions: Iterable[int] = (),
        source: str = "config",
        labels: Labels | None = None,
    ) -> None:
        configs = [parse_config(config, source=source, stored=True) for config in resolved]
        self._refining = [config for config in configs if config.refine_levels]
        self.deepest = max((config.refine_levels for config in configs), default=0)
        self.levels: list[list[str]] = []
        self.specs: dict[str, RunSpec] = {}
        for config in configs:
            for level, specs in enumerate(levels_asked(config, labels)):
                new = {run_id: spec for spec in specs if (run_id := spec.run_id) not in self.specs}
                self.specs |= new
                self.levels += [[]] if level == len(self.levels) else []
                self.levels[level] += new
        self._known = self.specs  # and what else belongs here, behind them: found where rows have it
        newer = {version for version in versions if NUMERICS_VERSION < version <= NUMERICS_VERSION + _AHEAD}
        self._versions = (NUMERICS_VERSION, *sorted(newer | set(range(1, NUMERICS_VERSION)), reverse=True))
        self._ids: dict[int, pd.Index[str]] = {}
        self._table: pd.DataFrame | None = None
        self._by_id: dict[int, dict[str, RunSpec]] = {}

    def among(self, run_ids: Iterable[str]) -> Self:
        """Those of the runs that have some of the ids of `known`."""
        kept, part = set(run_ids), copy(self)
        part.specs, part._known = (
            {run_id: spec for run_id, spec in specs.items() if run_id in kept} for specs in (self.specs, self._known)
        )
        part.levels = [[run_id for run_id in level if run_id in kept] for level in self.levels]
        part._refining, part._ids, part._table, part._by_id = [], {}, None, {}
        return part

    @property
    def known(self) -> Mapping[str, RunSpec]:
        """The runs asked for, and behind them those of refinement that belong here because rows were looked for."""
        return self._known

    def places(self, ids: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where among `known` each of some ids (n,) stands, and the numerics version at which the run has this id.

        An id that no run has at any version gets -1 and 0.
        """
        place, version = self._found(ids)
        if self._refining and (place < 0).any() and self._look_on_lattices(np.asarray(ids)[place < 0].tolist()):
            place, version = self._found(ids)
        return place, version

    def _found(self, ids: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
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
        highest = np.zeros(len(self._known) + 1, dtype=np.intp)  # the last for strangers, whose place is -1
        np.maximum.at(highest, place, version)
        return version, (version > 0) & (version == highest[place])

    def contradicted(self, rows: pa.Table, table: Table) -> str | None:
        """A column in which rows of runs asked for say other than was asked for; None where there is none."""
        return next((name for name, wrong in self._contradictions(rows, table) if wrong.any()), None)

    def contradicting(self, rows: pa.Table, table: Table) -> NDArray[np.bool_]:
        """Which of some rows (n,) of runs asked for say other than was asked for in any column."""
        none = np.zeros(rows.num_rows, dtype=np.bool_)
        return reduce(np.logical_or, (wrong for _, wrong in self._contradictions(rows, table)), none)

    def _contradictions(self, rows: pa.Table, table: Table) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Each column that repeats what was asked for, with the rows (n,) that say other; a stranger's says nothing.

        Numbers agree to 1e-9: another machine may raise d to a power with another last digit.
        """
        place = self.places(rows.column("run_id").to_pylist())[0]
        for name in repeated(table):
            column = rows.column(name)  # nulls aside: a key may be younger than the row
            told = (place >= 0) & column.is_valid().to_numpy()
            wrong = np.zeros(rows.num_rows, dtype=np.bool_)
            wrong[told] = ~_agree(column.filter(pa.array(told, pa.bool_())), self._told[name].iloc[place[told]])
            yield name, wrong

    @property
    def _told(self) -> pd.DataFrame:
        if self._table is None or len(self._table) < len(self._known):
            self._table = asked_table(self._known)
        return self._table

    def _ids_at(self, version: int) -> "pd.Index[str]":
        if version not in self._ids or len(self._ids[version]) < len(self._known):  # hashed only where looked for
            ids = self._known if version == NUMERICS_VERSION else [s.id_at(version) for s in self._known.values()]
            self._ids[version] = pd.Index(list(ids), dtype=object)
        return self._ids[version]

    def _look_on_lattices(self, ids: Iterable[str]) -> bool:
        """Take in the runs that have some ids on a level of refinement which is not asked for; whether there are any.

        A lattice may have a million runs, so it is hashed only where rows are there that nothing else asks for.
        """
        left, found = set(ids), dict[str, RunSpec]()
        for version in self._versions:
            specs = self._on_lattices(version)
            here = left & specs.keys()
            found |= {specs[run_id].run_id: specs[run_id] for run_id in here}
            left -= here
            if not left:
                break
        self._known = self._known | found
        return bool(found)

    @cached_property
    def _lattices(self) -> list[RunSpec]:
        """The runs of all levels of refinement."""
        return [spec for config in self._refining for spec in config.on_lattice()]

    def _on_lattices(self, version: int) -> dict[str, RunSpec]:
        if version not in self._by_id:
            self._by_id[version] = {spec.id_at(version): spec for spec in self._lattices}
        return self._by_id[version]


def levels_asked(config: SweepConfig, labels: Labels | None = None) -> Iterator[list[RunSpec]]:
    """The runs of each level of a sweep that its results ask for: those after a level once all of it are settled."""
    labels = labels or Labels()
    for specs in config.levels(labels.of):
        yield specs
        if config.refine_levels and not all(map(labels.settled, specs)):
            return


def repeated(table: Table) -> list[str]:
    """The columns of a table that repeat what was asked for."""
    return [column.name for column in table.columns if column.key is not None or column.name == "threshold"]


def _agree(found: pa.ChunkedArray, asked: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Which values (n,) are those asked for."""
    if pa.types.is_integer(found.type) or pa.types.is_floating(found.type):
        wanted = pd.to_numeric(asked, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(np.isclose(found.to_numpy().astype(np.float64), wanted, rtol=1e-9, atol=0))
    # A plugin's rule is told as data where the plugin is not here.
    pairs = zip(found.to_pylist(), asked.to_numpy(dtype=object), strict=True)
    return np.array([one == other or isinstance(other, Mapping) for one, other in pairs], dtype=np.bool_)


def asked_table(specs: Mapping[str, RunSpec], further: Mapping[str, str] = {}) -> pd.DataFrame:
    """`asked_for` every run, by the ids given, as a table: runs that share their sections are asked only once.

    further: keys by the columns they are to have, where they have none of their own, as those of a plugin that is not
    here.
    """
    firsts: dict[tuple[int, ...], tuple[int, RunSpec]] = {}
    places = []
    for spec in specs.values():
        sections = tuple(id(getattr(spec, section)) for section in SECTIONS)
        places.append(firsts.setdefault(sections, (len(firsts), spec))[0])
    told = []
    for _, spec in firsts.values():
        values = spec.values()
        told.append({column: values.get(key) for column, key in further.items()} | asked_for(spec))
    starts = [spec.initialization for spec in specs.values()]
    of_runs: dict[str, list[Any]] = {
        "run_id": list(specs),
        "gamma_sigma2": [start.gamma_sigma2 for start in starts],
        "gamma_w": [start.gamma_w for start in starts],
        "init_variance": [start.init_variance for start in starts],
        "width": [start.width for start in starts],
        "threshold": [start.threshold for start in starts],
        "lambda_balance": [start.balance for start in starts],
        "replicate": [spec.replicate for spec in specs.values()],
    }
    return pd.DataFrame(told).iloc[places].reset_index(drop=True).assign(**of_runs)


def asked_in(root: Path) -> Asked:
    """The runs that the configurations of a results directory ask for."""
    versions = set().union(*scan(root, RUNS, _versions).values())
    resolved = configs(root)
    labels = labels_in(root) if any("refine" in config for config in resolved) else None
    return Asked(resolved, versions, str(root / "configs"), labels)


def _versions(file: Path) -> set[int]:
    """The numerics versions in a part; none in one that cannot be read, of which whoever needs its rows tells."""
    try:
        groups = [rows.column(0).unique().to_pylist() for rows in row_groups(file, RUNS, ("numerics_version",))]
    except Unreadable:
        return set()
    return set().union(*groups)
