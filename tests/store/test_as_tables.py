"""Results in the forms of other libraries: boundaries as a DataFrame, all numbers as a Dataset of xarray."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.axes import selected, span
from linphase.diagram.outcomes import outcomes
from linphase.errors import LinphaseError
from linphase.model.regime import Cuts
from tests.figures.made import filled

CONFIG = {
    "name": "tiny",
    "task": {"dimension": 8},
    "grid": {
        "gamma_sigma2": [-2.0, -1.0, 0.0],
        "width": [4, 22, 181],
        "task.rank": [1, 2],
        "replicates": 3,
    },
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("results") / "tiny", parse_config(CONFIG).predicted())


@pytest.fixture(scope="module")
def holed(results, tmp_path_factory):
    """The same sweep, in which some runs are missing."""
    config = parse_config(CONFIG).predicted()
    return filled(
        tmp_path_factory.mktemp("holed") / "tiny",
        config,
        lambda spec: not (spec.initialization.width == 22 and spec.replicate == 1),
    )


@pytest.mark.parametrize("options", [{}, {"criterion": "balance", "bulk_cut": 0.3}])
def test_the_boundaries_are_those_that_the_command_line_writes(results, options, tmp_path):
    file = tmp_path / "boundaries.csv"
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = CliRunner().invoke(main, ["boundary", str(results.path), *words, "-o", str(file)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    table = results.boundaries(**options)
    assert list(table.columns) == list(pd.read_csv(file).columns)
    assert table.to_csv(index=False) == file.read_text()
    assert len(table) > 6
    assert np.isfinite(table["gamma_sigma2"]).any()


def test_a_boundary_beyond_the_grid_is_nan_and_told_in_the_note(results):
    table = results.boundaries()
    beyond = table[table["note"].isin(["above grid", "below grid"])]
    assert len(beyond)
    assert beyond["gamma_sigma2"].isna().all()


def test_bad_arguments_of_the_boundaries_are_named(results):
    with pytest.raises(LinphaseError) as refused:
        results.boundaries(criterion="speed")
    assert str(refused.value) == "criterion: must be one of threshold, balance, speedup, found 'speed'"
    with pytest.raises(LinphaseError, match="a measured boundary lies between two variances"):
        selected(results, {"gamma_sigma2": results.axes["gamma_sigma2"][0]}).boundaries()


def test_the_dataset_holds_every_number_of_the_table_at_its_place(results):
    xarray = pytest.importorskip("xarray")
    told = results.to_xarray(criterion="speedup")
    assert dict(told.sizes) == {"gamma_sigma2": 3, "width": 3, "rank": 2, "replicate": 3}
    assert told["width"].to_numpy().tolist() == [4, 22, 181]
    assert told["width"].dtype.kind == "i"
    places = {name: results.runs[name].to_numpy() for name in told.sizes}
    at = {name: xarray.DataArray(values, dims="run") for name, values in places.items()}
    numeric = [name for name in results.runs if pd.api.types.is_numeric_dtype(results.runs[name])]
    assert set(told.data_vars) == {"outcome", *numeric} - set(told.sizes)
    for name in set(numeric) - set(told.sizes):
        expected = results.runs[name].to_numpy(dtype=float, na_value=np.nan)
        np.testing.assert_array_equal(told[name].sel(at).to_numpy(), expected, err_msg=name)
    assert told["outcome"].sel(at).to_numpy().tolist() == outcomes(results.runs, Cuts("speedup")).tolist()
    assert told.attrs["criterion"] == "speedup"
    assert told["min_test_error"].attrs["long_name"] == results.columns["min_test_error"].meaning
    assert told["min_test_error"].dims == ("gamma_sigma2", "width", "rank", "replicate")


def test_where_there_is_no_run_numbers_are_nan_and_the_outcome_is_missing(holed):
    pytest.importorskip("xarray")
    told = holed.to_xarray()
    gap = told.sel(width=22, replicate=1)
    assert np.isnan(gap["min_test_error"]).all()
    assert (gap["outcome"] == "missing").all()
    assert int(np.isfinite(told["final_train_error"]).sum()) == len(holed.runs)
    assert int((told["outcome"] == "missing").sum()) == 6


def test_a_dataset_turns_back_into_the_table(results):
    pytest.importorskip("xarray")
    table = results.to_xarray()["min_test_error"].to_dataframe().reset_index()
    keys = ["gamma_sigma2", "width", "rank", "replicate"]
    mine = results.runs[[*keys, "min_test_error"]].sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(table.sort_values(keys, ignore_index=True), mine, check_dtype=False)


def test_axes_that_leave_runs_at_one_place_are_refused(results):
    pytest.importorskip("xarray")
    axes = {key: values for key, values in results.axes.items() if key != "task.rank"}
    with pytest.raises(LinphaseError) as refused:
        replace(results, axes=axes).to_xarray()
    assert str(refused.value) == (
        "to_xarray: axes that tell all runs apart are required, found several runs at one place of gamma_sigma2, "
        "width, replicate. Take the axes that linphase.load gives"
    )
    assert "c" in replace(results, axes=span(results.runs, results.axes, x="c")).to_xarray().dims


def test_without_xarray_the_extra_is_named(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(LinphaseError) as refused:
        results.to_xarray()
    assert str(refused.value) == (
        "to_xarray needs xarray, which is not installed. Install it with: pip install 'linphase[xarray]', in a "
        "checkout pip install '.[xarray]'"
    )


def test_a_directory_without_runs_is_a_dataset_of_nothing(tmp_path):
    pytest.importorskip("xarray")
    told = filled(tmp_path / "r", parse_config({"name": "r", "grid": {"gamma_sigma2": [-1.0], "width": [4, 8]}}),
                  lambda spec: False).to_xarray()  # fmt: skip
    assert told["outcome"].to_numpy().ravel().tolist() == ["missing", "missing"]
