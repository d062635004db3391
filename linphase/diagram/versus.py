"""Two tables of runs side by side: measured and predicted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from linphase.config.config import SweepConfig, parse_config
from linphase.config.keys import VARIANCE_KEYS, WIDTH_KEYS
from linphase.diagram.axes import Window, as_stored, axis_column
from linphase.diagram.cells import Cells
from linphase.diagram.looks import Array, written
from linphase.diagram.outcomes import outcomes
from linphase.diagram.panels import Panel
from linphase.model.draws import draw_task
from linphase.model.regime import Cuts
from linphase.model.threads import one_blas_thread
from linphase.runs.training import train_spec
from linphase.store.columns import for_keys
from linphase.store.rows import TASK_COLUMNS, summary_row

if TYPE_CHECKING:
    from linphase.runs.spec import RunSpec
    from linphase.store.results import Results


def difference(panel: Panel, measured: Cells, predicted: Cells, names: tuple[str, str]) -> tuple[Panel, Cells, str]:
    """The cells of one table minus those of another, for quantities over decades the logarithm of their ratio.

    Parameters
    ----------
    panel
        What both show.
    measured, predicted
        The cells of one and the other.
    names
        What they are called.

    Returns
    -------
    tuple[Panel, Cells, str]
        How the difference is drawn, the difference, and a title that sums it up. Outcomes that differ are pairs.
    """
    shape = measured.numbers.shape
    shown: dict[tuple[int, int], tuple[str, ...]] = {}
    numbers = np.full(shape, np.nan)
    if panel.scale == "outcome":
        for cell in dict.fromkeys((*measured.outcomes, *predicted.outcomes)):
            shown[cell] = _compared(*(each.outcomes.get(cell, ("missing",)) for each in (measured, predicted)))
        cells = Cells(shown, numbers, [], False, stand_ins=measured.stand_ins)
        counts = {outcome: count for outcome, count in cells.counts().items() if outcome != ("missing",)}
        differ = sum(count for outcome, count in counts.items() if len(outcome) == 2)
        return replace(panel, name="difference"), cells, f"difference\n{differ} of {sum(counts.values())} cells"
    ratio = panel.scale == "log"
    a, b = measured.numbers, predicted.numbers
    with np.errstate(divide="ignore", invalid="ignore"):
        numbers = np.where(a == b, 0.0, np.log(a / b)) if ratio else a - b
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    for cell in np.ndindex(*shape):
        if np.isnan(numbers[cell]):
            one, other = measured.outcomes.get(cell), predicted.outcomes.get(cell)
            if one is other is None and np.isnan(a[cell]) and np.isnan(b[cell]):
                continue  # beyond the cells
            absent = ("missing",) in (one, other)
            shown[cell] = ("missing",) if absent else one if one == other and one is not None else ("apart",)
    own = np.array([numbers[cell] for cell in np.ndindex(*shape) if cell not in measured.stand_ins])
    logarithmic = ratio or panel.scale == "ln"
    gap = " " if len("".join(names)) < 30 else "\n"  # a third of a page
    title = f"ln({names[0]} /{gap}{names[1]})" if logarithmic else f"{names[0]} \N{MINUS SIGN}{gap}{names[1]}"
    return (
        replace(panel, name="difference", title=title, scale="difference", colors="RdBu_r", unit="", levels=()),
        Cells(shown, numbers, [], False, stand_ins=measured.stand_ins),
        f"{title}\n{_summary(own)}",
    )


def _compared(measured: tuple[str, ...], predicted: tuple[str, ...]) -> tuple[str, ...]:
    """agree, missing where either is, or what was measured and what was predicted."""
    if measured == predicted:
        return measured if measured == ("missing",) else ("agree",)
    if ("missing",) in (measured, predicted):
        return ("missing",)
    # Of a tie the outcome that the other side does not have.
    mine = next((name for name in measured if name not in predicted), measured[0])
    return mine, next((name for name in predicted if name not in (*measured, mine)), predicted[0])


def _summary(differences: Array) -> str:
    sizes = np.abs(differences[np.isfinite(differences)])
    if sizes.size == 0:
        return "no cell in common"
    median, largest = (written(float(f"{size:.2g}")) for size in (np.median(sizes), sizes.max()))
    gap = " " if len(median + largest) < 12 else "\n"
    return f"median size {median},{gap}largest {largest}"


# What a run has in common with its prediction.
_SAME = ("gamma_sigma2", "gamma_w", "init_variance", "width", "replicate", "seed", "independent_dimensions",
         "stop_time", *TASK_COLUMNS)  # fmt: skip


def paired(runs: pd.DataFrame, predicted: pd.DataFrame) -> pd.DataFrame:
    """Every run that finished beside the prediction of its cell and replicate.

    Parameters
    ----------
    runs
        A runs table.
    predicted
        That of `predicted_runs`, whose columns end in _predicted in the result.
    """
    finished = runs[~runs["status"].isin(["failed", "diverged"])].copy()
    predicted = predicted.copy()
    texts = {name for name, (_, kind) in for_keys().items() if kind == "string"}
    for table in (finished, predicted):
        for name in _SAME:
            given = table[name]
            table[name] = given.fillna("") if name in texts else pd.to_numeric(given).astype("float64")
    return finished.merge(predicted, on=list(_SAME), suffixes=("", "_predicted"))


def in_both(one: pd.DataFrame, other: pd.DataFrame, window: Window) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs of each table whose cell the other one has, too.

    Over axes of a grid all of them, for a place of the diagram is a cell. Over a derived axis a place holds several
    cells, or is taken in by a neighbour: only cells that are in both can be compared there.
    """
    replaced = {key for axis in (window.x, window.y) if axis.derived for key in axis.derived.replaces}
    raw = {"gamma_sigma2": "init_variance", "gamma_w": "width"}
    columns = sorted({raw.get(key, axis_column(key)) for key in replaced})
    columns = [name for name in columns if name in one and name in other]
    if not columns:
        return one, other
    cells = [
        pd.MultiIndex.from_arrays(
            [*(each[name].map(as_stored) for name in columns), window.x.index(each), window.y.index(each)]
        )
        for each in (one, other)
    ]
    return one[cells[0].isin(cells[1])], other[cells[1].isin(cells[0])]


def deviations(pairs: pd.DataFrame, column: str, share: bool) -> Array:
    """|measured - predicted| where both are finite, relative to the prediction but for shares; none without both.

    Parameters
    ----------
    pairs
        Of `paired`, n rows.
    column
        Of a runs table.
    share
        Whether it is one, from 0 to 1.
    """
    both = (column, f"{column}_predicted")
    if not set(both) <= set(pairs.columns):  # declared by somebody else, so not predicted here
        return np.empty(0)
    measured, predicted = (
        pd.to_numeric(pairs[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan) for name in both
    )
    apart: Array = np.abs(measured - predicted)
    if not share:
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = np.where(apart == 0, 0.0, apart / np.abs(predicted))
    return apart[np.isfinite(apart)]


def differing(pairs: pd.DataFrame, cuts: Cuts) -> int:
    """How many runs have another regime than the predicted one."""
    predicted = pairs[[name for name in pairs.columns if name.endswith("_predicted")]]
    predicted = predicted.rename(columns=lambda name: name.removesuffix("_predicted"))
    predicted = predicted.assign(**{name: pairs[name] for name in ("width", "rank", "noise")})
    return int((outcomes(pairs, cuts) != outcomes(predicted, cuts)).sum())


def predictions_of(results: Results, among: Among | None = None) -> pd.DataFrame:
    """The runs table that theory predicts for the cells of some results, where they were refined, too."""
    configs = [parse_config(config, stored=True) for config in results.configs]
    asked = {_cell(spec) for spec in results.expected().values()}
    # What was refined is predicted where it was run, whatever theory would have refined.
    starts = {(spec.start[0][1], spec.start[1][1]) for spec in results.expected().values()}
    refined = any(config.refine_levels for config in configs)

    def holds(spec: RunSpec) -> bool:
        return _cell(spec) in asked and (among is None or among.holds(spec))

    return predicted_runs(configs, holds, sorted(starts) if refined else None)


def _cell(spec: RunSpec) -> tuple[Any, ...]:
    """What a run and its prediction have in common."""
    return spec.task.used_json, spec.start, spec.replicate


def predicted_runs(
    configs: Iterable[SweepConfig],
    holds: Callable[[RunSpec], bool] = lambda spec: True,
    starts: Collection[tuple[Any, Any]] | None = None,
) -> pd.DataFrame:
    """The runs table that theory predicts for the cells of some configurations, not stored anywhere.

    holds: whether a run is one of those to predict. starts: of `SweepConfig.expand`.
    """
    draw = lru_cache(maxsize=None)(draw_task)
    specs = {spec.run_id: spec for config in configs for spec in config.predicted().expand(starts) if holds(spec)}
    with one_blas_thread():
        rows = [
            summary_row(spec, train_spec(spec, draw(spec.task, seed=spec.seed, replicate=spec.replicate)))
            for spec in specs.values()
        ]
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Among:
    """Some variances, widths and replicates of a grid: a coarser diagram of the same window."""

    axes: Mapping[str, Sequence[Any]]  # of the variance and the width, whichever axes span the diagram
    replicates: int

    @classmethod
    def of(cls, axes: Mapping[str, Sequence[Any]], replicates: int, most: int) -> Among:
        """About as many as are wanted at most: first fewer replicates, then every other value of the longer axis."""
        steps = {key: 1 for key in axes if key in (*VARIANCE_KEYS, *WIDTH_KEYS)}
        facets = prod(len(values) for key, values in axes.items() if key not in steps)

        def kept() -> dict[str, Sequence[Any]]:
            return {key: axes[key][::step] for key, step in steps.items()}

        while facets * prod(map(len, kept().values())) > most and max(map(len, kept().values())) > 1:
            steps[max(kept(), key=lambda key: len(kept()[key]))] += 1
        cells = facets * prod(map(len, kept().values()))
        return cls(kept(), min(replicates, max(1, most // cells)))

    def holds(self, spec: RunSpec) -> bool:
        """Whether a run is one of them."""
        return spec.replicate < self.replicates and all(value in self.axes[key] for key, value in spec.start)

    @property
    def where(self) -> dict[str, Sequence[Any]]:
        """For `linphase.diagram.axes.select`."""
        return {**self.axes, "replicate": range(self.replicates)}
