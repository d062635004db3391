"""Results as an xarray.Dataset: what the runs table holds, by its place in the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from linphase.diagram.axes import Axis
from linphase.diagram.outcomes import outcomes
from linphase.errors import LinphaseError
from linphase.model.regime import Cuts

if TYPE_CHECKING:
    import xarray

    from linphase.store.results import Results

MISSING = "missing"  # the outcome where there is no run


def dataset(results: Results, cuts: Cuts = Cuts()) -> xarray.Dataset:
    """Numeric columns and outcomes over the axes and the replicates; see `Results.to_xarray`, which calls it.

    Raises
    ------
    LinphaseError
        If xarray is not installed, or several runs share a place, as where axes were left out or derived.
    """
    xr = _xarray()
    runs = results.runs
    axes = [Axis.of(key, values) for key, values in results.axes.items()]
    configured = max((int(config["grid"].get("replicates", 1)) for config in results.configs), default=1)
    stored = runs["replicate"].to_numpy(dtype=int)
    replicates = np.arange(max(configured, int(stored.max(initial=-1)) + 1))
    shape = (*(len(axis.kept) for axis in axes), len(replicates))
    places = np.array([*(axis.index(runs) for axis in axes), stored], dtype=np.intp)
    on_grid = np.flatnonzero((places >= 0).all(axis=0))
    flat = np.ravel_multi_index(tuple(places[:, on_grid]), shape)
    if len(np.unique(flat)) < len(flat):
        raise LinphaseError(
            f"to_xarray: axes that tell all runs apart are required, found several runs at one place of "
            f"{', '.join(axis.name for axis in axes)}, replicate. Take the axes that linphase.load gives"
        )
    dims = [*(axis.name for axis in axes), "replicate"]
    variables: dict[str, Any] = {
        "outcome": (dims, _spread(outcomes(runs, cuts).to_numpy()[on_grid], flat, shape, MISSING))
    }
    for name in runs.columns:
        if name not in dims and pd.api.types.is_numeric_dtype(runs[name]):
            numbers = runs[name].to_numpy(dtype=np.float64, na_value=np.nan)[on_grid]
            variables[name] = (dims, _spread(numbers, flat, shape, np.nan), _told(results, name))
    coordinates = {axis.name: ([axis.name], _values(axis), _told(results, axis.name)) for axis in axes}
    told = {"results": results.path.name, "criterion": cuts.criterion, "signal_cut": cuts.signal, "bulk_cut": cuts.bulk}
    made: xarray.Dataset = xr.Dataset(variables, {**coordinates, "replicate": replicates}, told)
    return made


def _spread(values: Any, flat: Any, shape: tuple[int, ...], empty: Any) -> Any:
    """Values at their places in an array of a shape, and what stands where there is none."""
    spread = np.full(int(np.prod(shape)), empty, dtype=np.float64 if isinstance(empty, float) else object)
    spread[flat] = values
    return spread.reshape(shape)


def _values(axis: Axis) -> Any:
    """The values of an axis: whole numbers as such, so that `sel` finds them."""
    if all(isinstance(value, float) and value.is_integer() for value in axis.kept) and not axis.name.startswith(
        "gamma"
    ):
        return [int(value) for value in axis.kept]
    return list(axis.kept)


def _told(results: Results, name: str) -> dict[str, str]:
    """What the files tell of a column, by the names that xarray draws with."""
    column = results.columns.get(name)
    told = {} if column is None else {"long_name": column.meaning, "units": column.unit}
    return {key: text for key, text in told.items() if text}


def _xarray() -> Any:
    try:
        import xarray
    except ImportError as error:
        raise LinphaseError(
            "to_xarray needs xarray, which is not installed. Install it with: pip install 'linphase[xarray]', in a "
            "checkout pip install '.[xarray]'"
        ) from error
    return xarray
