"""Everything a directory holds, as tables."""

import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from linphase.config.keys import WIDTH_KEYS
from linphase.errors import ResultsError, Unavailable
from linphase.model import arrays
from linphase.model.regime import Cuts
from linphase.runs.records import Trajectory
from linphase.runs.spec import NUMERICS_VERSION, RunSpec
from linphase.store.asked import Asked, repeated
from linphase.store.columns import Column
from linphase.store.directory import configs, existing
from linphase.store.reading import ATTEMPTS, Gone, names_in, read_table
from linphase.store.refining import COLUMNS, Labels
from linphase.store.rows import find_trajectories, read_trajectory
from linphase.store.tables import FAILURES, RUNS, TRAJECTORIES, column_of, conform

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from linphase.figures.fitting import Style

_FINAL_MODES = {
    "singular_value": "final_singular_values",
    "balance": "final_mode_balance",
    "speed_up": "final_speed_up",
    "target": "target_singular_values",
}


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """All that a results directory held when it was loaded.

    runs has one row a run and every stored column (`linphase columns` lists those of linphase), sorted by the facets
    of the grid, gamma_sigma2, gamma_w and replicate. Runs that failed and were not finished since are in it with
    status "failed". A row that no configuration asks for is in no table; of the rows of one run, made at several
    numerics versions, those of the highest are.
    """

    path: Path
    configs: list[dict[str, Any]] = field(repr=False)
    axes: dict[str, list[Any]]  # the values of every axis, of all configurations; the first two span the diagram
    runs: pd.DataFrame = field(repr=False)
    failures: pd.DataFrame = field(repr=False)
    asked: Asked = field(repr=False)
    superseded: dict[int, int] = field(default_factory=dict, repr=False)  # by version: rows left out for a higher one's
    strangers: int = 0  # rows left out because no configuration asks for them
    columns: dict[str, Column] = field(default_factory=dict, repr=False)  # of runs, declared here or not
    _places: dict[str, tuple[str, int]] = field(default_factory=dict, init=False, repr=False)

    def __repr__(self) -> str:
        axes = " x ".join(f"{len(values)} {key}" for key, values in self.axes.items())
        return f"Results({self.path}: {len(self.runs)} runs of {axes}; {self._regimes()})"

    def _repr_html_(self) -> str:
        """For notebooks: where it lies, how its runs ended, and the first of them."""
        return f"<p>{escape(repr(self))}</p>{self.runs.head(5).to_html()}"

    def _regimes(self) -> str:
        counts: Mapping[str, int] = dict(self.runs["regime"].value_counts()) if "regime" in self.runs else {}
        return ", ".join(f"{name} {count}" for name, count in counts.items()) or "no regime"

    def trajectory(self, run_id: str) -> Trajectory:
        """One run over time, read from disk.

        Raises
        ------
        ResultsError
            If there is none of this id.
        """
        refused: dict[str, ResultsError] = {}  # by part: another one may hold a copy
        for attempt in range(ATTEMPTS):
            if attempt or run_id not in self._places:
                self._places.clear()
                self._places.update(find_trajectories(self.path, besides=refused))
            if run_id not in self._places:
                absent = ResultsError(
                    f"{self.path}: no trajectory of run {run_id!r}. Finished runs have one; their ids "
                    "are in the column run_id of .runs"
                )
                raise next(iter(refused.values()), absent)
            name, row_group = self._places[run_id]
            try:
                return read_trajectory(self.path / TRAJECTORIES.name / name, row_group, run_id)
            except Gone:  # folded since: look where it is now
                continue
            except Unavailable:  # another time it can be read
                raise
            except ResultsError as error:
                refused[name] = error
        raise ResultsError(f"{self.path}: the trajectory of run {run_id!r} cannot be opened. Try again")

    def plot(
        self,
        panel: str | None = None,
        *,
        ax: "Axes | None" = None,
        criterion: str = "threshold",
        signal_cut: float = 0.5,
        bulk_cut: float = 0.5,
        x: str | None = None,
        y: str | None = None,
        along: str | None = None,
        where: Mapping[str, Any] = MappingProxyType({}),
        against: "Literal['theory'] | Results | None" = None,
        style: "Literal['paper', 'talk'] | Style" = "paper",
    ) -> "Figure":
        """Draw a panel, or one of the figures that are more than a panel, as `linphase plot` does.

        Parameters
        ----------
        panel
            Such as "regime" (the default), "test-error", "evidence", "trajectories"; an unknown name lists all.
        ax
            Of a figure of your own, where one facet of a panel, or of "boundaries", is drawn: with a colour bar beside
            it and a legend over it, and without the names of theory's lines. Your figure is laid out by you.
        criterion, signal_cut, bulk_cut
            Which modes are active (threshold, balance or speedup), and the shares of active modes that make a regime.
        x, y
            The axes across and upwards, in place of the first two.
        along
            An axis along which the panel is drawn as curves, one for each value of `y` or of all further axes; the
            default where only one axis has several values.
        where
            Values by the key of an axis, a column or "replicate": {"width": 4096}, {"rank": [1, 4]}. A number takes
            the nearest on its axis. trajectories of a single cell are its run over time.
        against
            "theory", or other results: the panel of both, and their difference.
        style
            paper or talk, or a `linphase.Style`: width, font, what is left out, the ends of the scale.

        Returns
        -------
        Figure
            The figure, or that of `ax`. `linphase.figures.style.save` writes it, as does its own savefig.

        Raises
        ------
        LinphaseError
            If an argument is not as it must be, the results do not hold what the panel needs, or it needs several Axes.

        Examples
        --------
        >>> results.plot("test-error", criterion="speedup", ax=ax)
        >>> results.plot("test-error", along="gamma_sigma2", where={"gamma_w": 2.0})
        """
        from linphase.figures.drawing import plot

        cuts = Cuts(criterion, signal_cut, bulk_cut)
        return plot(self, panel, cuts, ax=ax, x=x, y=y, along=along, where=where, against=against, style=style)

    def boundaries(
        self, *, criterion: str = "threshold", signal_cut: float = 0.5, bulk_cut: float = 0.5
    ) -> pd.DataFrame:
        """Where the measured boundaries lie, as `linphase boundary` writes them: a row a boundary and width.

        Parameters
        ----------
        criterion, signal_cut, bulk_cut
            As in `plot`; boundaries of the path are the same by every criterion.

        Returns
        -------
        pd.DataFrame
            boundary, a column a facet, gamma_w, width, gamma_sigma2 with its 95 % interval low and high, the grid's
            step, theory's values finite_d and asymptotic, and what they rest on. Beyond the grid gamma_sigma2 is nan,
            and `note` tells on which side.

        Raises
        ------
        LinphaseError
            If an argument is not as it must be, or the grid has one variance alone.

        Examples
        --------
        >>> results.boundaries(criterion="balance")[["boundary", "width", "gamma_sigma2", "finite_d"]]
        """
        from linphase.diagram.measured import as_table, boundaries_of

        return as_table(boundaries_of(self, Cuts(criterion, signal_cut, bulk_cut)))

    def to_xarray(
        self, *, criterion: str = "threshold", signal_cut: float = 0.5, bulk_cut: float = 0.5
    ) -> "xarray.Dataset":
        """All numeric columns of `runs`, and the outcome, over the axes and the replicates; needs xarray, an extra.

        Parameters
        ----------
        criterion, signal_cut, bulk_cut
            What the outcomes go by, as in `plot`.

        Returns
        -------
        xarray.Dataset
            A dimension each axis, by its column, in the order of `axes`, then replicate. Numbers are float64, nan where
            there is no run or no value; outcome is a word, "missing" where there is no run.

        Raises
        ------
        LinphaseError
            If xarray is not installed or an argument is not as it must be.

        Examples
        --------
        >>> results.to_xarray()["min_test_error"].mean("replicate").sel(gamma_w=2.0, method="nearest")
        """
        from linphase.diagram.dataset import dataset

        return dataset(self, Cuts(criterion, signal_cut, bulk_cut))

    def final_modes(self) -> pd.DataFrame:
        """Every mode of every finished run at its end, in the order of `runs`, read from disk in one pass.

        Columns: run_id, mode (from 0), singular_value s_i(A), balance, speed_up, target s_i(Y); see
        `linphase.trajectory.Modes`. Numbers are single precision, as stored.
        """
        rows = read_table(self.path, TRAJECTORIES, ("run_id", *_FINAL_MODES.values())).combine_chunks()
        ids = pd.Index(rows.column("run_id").to_numpy(zero_copy_only=False))
        places = pd.Series(np.arange(len(ids)), ids)[~ids.duplicated()]  # copies agree
        finished = self.runs.loc[self.runs["run_id"].isin(places.index), "run_id"].to_numpy(dtype=object)
        rows = rows.take(places[finished].to_numpy())
        lists = {name: rows.column(column).combine_chunks() for name, column in _FINAL_MODES.items()}
        count = lists["singular_value"].value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        first = np.cumsum(count) - count
        modes = np.arange(count.sum()) - np.repeat(first, count)
        values = {name: each.flatten().to_numpy(zero_copy_only=False) for name, each in lists.items()}
        return pd.DataFrame({"run_id": np.repeat(finished, count), "mode": modes, **values})

    def expected(self) -> Mapping[str, RunSpec]:
        """Every run that the configurations ask for, by the id of its row or, where there is none, by its own."""
        return self._expected

    @cached_property
    def _expected(self) -> dict[str, RunSpec]:
        places = self._standing[0]  # first: rows may tell of runs that nothing else does
        ids, specs = list(self.asked.known), list(self.asked.known.values())
        for run_id, place in zip(self.runs["run_id"], places, strict=True):
            ids[place] = run_id
        return dict(zip(ids, specs, strict=True))

    @cached_property
    def _standing(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return self.asked.places(self.runs["run_id"].tolist())

    @property
    def numerics(self) -> NDArray[np.intp]:
        """The numerics version of each of `runs`, failed ones included."""
        return self._standing[1]

    def missing(self) -> list[RunSpec]:
        """The expected runs that are not finished at this linphase's numerics version; failed ones are among them."""
        finished = self.finished()
        return [spec for run_id, spec in self.asked.specs.items() if run_id not in finished]

    def finished(self, observables: Collection[str] = ()) -> set[str]:
        """The runs finished at this linphase's numerics version, or a higher one, by their ids here.

        observables: only runs of which all of these were measured.
        """
        wanted, rows = frozenset(observables), self.runs["status"].ne("failed")
        if wanted:
            rows &= np.array([wanted <= names_in(text) for text in self.runs["observables"]], dtype=bool)
        return self._ids_here(rows)

    def failed(self) -> set[str]:
        """The runs that have failed at this linphase's numerics version and were not finished since."""
        return self._ids_here(self.runs["status"].eq("failed"))

    def _ids_here(self, rows: "pd.Series[bool]") -> set[str]:
        place, version = self._standing
        ids = np.array(list(self.asked.known), dtype=object)
        return set(ids[place[rows.to_numpy(dtype=bool) & (version >= NUMERICS_VERSION)]])


def load(path: str | Path, columns: Sequence[str] | None = None) -> Results:
    """Read a results directory.

    columns: those of `runs` to read, beside run_id, status and converged; by default all.

    Raises
    ------
    ResultsError
        If there is no such directory, or it is none of results, or a newer linphase wrote it.
    """
    root = existing(path)
    resolved = configs(root)
    arrays.look_in(root)
    refined = any("refine" in config for config in resolved)
    failures = read_table(root, FAILURES, FAILURES.names)
    names = None if columns is None else tuple(dict.fromkeys((*_ALWAYS, *(COLUMNS if refined else ()), *columns)))
    finished = read_table(root, RUNS, names)
    if names is not None and _has_copies(finished):  # of which those count that contradict nothing asked for
        finished = read_table(root, RUNS, tuple(dict.fromkeys((*names, *repeated(RUNS)))))
    versions = finished.column("numerics_version").unique().to_pylist()
    asked = Asked(resolved, versions, str(root / "configs"))
    finished = _best_first(finished, asked)
    if refined:
        labels = Labels(finished, failures.column("run_id").to_pylist())
        asked = Asked(resolved, versions, str(root / "configs"), labels)
    finished = finished if names is None else finished.select(names)
    runs = _to_pandas(_with_failed(finished, failures)).drop_duplicates("run_id", ignore_index=True)
    tried = _to_pandas(failures).drop_duplicates(list(FAILURES.key), ignore_index=True)
    version, shown = asked.shown(runs["run_id"].tolist())
    known = asked.places(tried["run_id"].tolist())[0] >= 0
    strangers = int(((version == 0) & (runs["status"] != "failed")).sum() + (~known).sum())
    _warn_of_strangers(root, strangers)
    axes = _axes(resolved, asked)
    numbers, counts = np.unique(version[(version > 0) & ~shown], return_counts=True)
    return Results(
        path=root,
        configs=resolved,
        axes=axes,
        runs=_sorted(runs[shown], list(axes)),
        failures=tried[known].reset_index(drop=True),
        asked=asked,
        superseded=dict(zip(numbers.tolist(), counts.tolist(), strict=True)),
        strangers=strangers,
        columns={name: _column(finished.schema.field(name)) for name in finished.column_names},
    )


def _warn_of_strangers(root: Path, rows: int) -> None:
    if rows:
        warnings.warn(
            f"{root}: {rows} rows are of runs that no configuration here asks for, and are left out. "
            f"linphase check {root} names their files",
            stacklevel=3,
        )


_ALWAYS = ("run_id", "status", "converged", "observables", "numerics_version")


def _column(field: pa.Field) -> Column:
    column = column_of(field)
    assert column is not None  # every field that is read is declared or tells what it is
    return column


def _has_copies(rows: pa.Table) -> bool:
    return bool(pc.count_distinct(rows.column("run_id")).as_py() < rows.num_rows)


def _best_first(rows: pa.Table, asked: Asked) -> pa.Table:
    """Where a run has copies, first those as they were asked for, of these the one with most observables."""
    if not _has_copies(rows):
        return rows
    counts = [len(names_in(text)) for text in rows.column("observables").to_pylist()]
    return rows.take(np.lexsort((np.negative(counts), asked.contradicting(rows, RUNS))))


def _axes(resolved: Sequence[dict[str, Any]], asked: Asked) -> dict[str, list[Any]]:
    """The union of the values of every axis, refined ones among them: numbers in ascending order, then the rest."""
    axes: dict[str, dict[str, Any]] = {}
    for config in resolved:
        for key, values in config["grid"].items():
            if key != "replicates":
                axes.setdefault(key, {}).update({_text(value): value for value in values})
    for spec in asked.known.values() if asked.deepest else ():
        for key, value in spec.start:
            axes[key][_text(value)] = value
    return spanning_first({key: sorted(values.values(), key=_axis_order) for key, values in axes.items()})


def spanning_first(axes: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The axes with several values first, else as they are: the first goes across a diagram, the second upwards.

    A width goes upwards. An axis with one value is none, and comes to span a diagram only where others are lacking.
    """
    several = [key for key, values in axes.items() if len(values) > 1]
    if len(several) > 1 and several[0] in WIDTH_KEYS:
        several[:2] = several[1::-1]
    return {key: list(axes[key]) for key in dict.fromkeys((*several, *axes))}


def _text(value: Any) -> str:
    return json.dumps(float(value) if isinstance(value, int) else value, sort_keys=True)


def _axis_order(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return not is_number, value if is_number else 0.0, _text(value)


def _with_failed(runs: pa.Table, failures: pa.Table) -> pa.Table:
    """The runs, and below them the failed ones that are not finished."""
    unfinished = pc.invert(pc.is_in(failures.column("run_id"), value_set=runs.column("run_id")))
    failed = conform(failures.filter(unfinished), runs.schema, runs.column_names)
    for name, value in (("status", "failed"), ("converged", False)):
        index = runs.schema.get_field_index(name)
        kind = runs.schema.field(index)
        failed = failed.set_column(index, kind, pa.array([value] * failed.num_rows, kind.type))
    return pa.concat_tables([runs, failed])


def _to_pandas(rows: pa.Table) -> pd.DataFrame:
    """A DataFrame whose types do not depend on its values: integers may be missing, as Int64 or Int32."""
    for index, column in enumerate(rows.schema):
        if pa.types.is_boolean(column.type):
            rows = rows.set_column(index, column, rows.column(index).fill_null(False))
    nullable = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
    frame: pd.DataFrame = rows.to_pandas(types_mapper=nullable.get, use_threads=False)  # threads may be short
    return frame


def _sorted(runs: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """Facets vary slowest, as in the expansion of a grid."""
    of_key = {column.key: column.name for column in RUNS.columns if column.key is not None}
    facets = [of_key[key] for key in axes if key in of_key]  # "task.rank" and the like, not "gamma_w"
    order = [*facets, "gamma_sigma2", "gamma_w", "replicate", "run_id"]
    return runs.sort_values([name for name in order if name in runs], ignore_index=True)
