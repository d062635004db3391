"""A sweep against another one: which cells are compared, and what is said of the two."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from linphase.config.config import parse_config
from linphase.diagram.axes import off_axes, select, span
from linphase.diagram.reference import differences, start_of, sweep_beside, theory_for
from linphase.errors import LinphaseError
from tests.figures.made import filled

TASK = {"dimension": 8, "rank": 2}
GRID = {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [1.0, 2.0]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Sweeps by theory, which cost milliseconds; each is made once."""
    there, known = tmp_path_factory.mktemp("sweeps"), {}

    def sweep(name, *, task=(), grid=(), keep=lambda spec: True, **sections):
        if name not in known:
            axes = {key: values for key, values in (GRID | dict(grid)).items() if values is not None}
            config = {"name": name, "task": TASK | dict(task), "grid": axes, **sections}
            parsed = parse_config(config)
            known[name] = filled(there / name, parsed if "dynamics" in sections else parsed.predicted(), keep)
        return known[name]

    sweep("one")
    return sweep


def where(results, **conditions):
    runs, axes = select(results.runs, results.axes, conditions)
    return replace(results, runs=runs, axes=axes)


def test_sweeps_that_differ_in_nothing_have_nothing_said_of_them(made):
    one = made("one")
    reference = sweep_beside(one, made("twin"))
    assert (reference.names, reference.facts, reference.notes) == (("one", "twin"), {}, ())
    assert reference.axes == one.axes
    assert list(reference.runs["min_test_error"]) == list(one.runs["min_test_error"])


def test_cells_that_either_lacks_are_counted_named_and_on_the_axes(made):
    other = made("moved", grid={"gamma_sigma2": [-2.0, -1.0, -0.5], "gamma_w": [1.0, 2.0, 2.5]})
    reference = sweep_beside(made("one"), other)
    assert reference.notes == (
        "2 cells of one are not in moved: (gamma_sigma2, gamma_w) = (0, 1), (0, 2)",
        "5 cells of moved are not in one: (gamma_sigma2, gamma_w) = (-2, 2.5), (-1, 2.5), (-0.5, 1) and 2 more",
    )
    assert sorted(reference.axes["gamma_sigma2"]) == [-2.0, -1.0, -0.5, 0.0]
    assert sorted(reference.axes["gamma_w"]) == [1.0, 2.0, 2.5]


def test_a_cell_whose_run_is_missing_is_not_there(made):
    holed = made("holed", keep=lambda spec: dict(spec.start) != {"gamma_sigma2": -1.0, "gamma_w": 2.0})
    assert sweep_beside(made("one"), holed).notes == (
        "1 cell of one is not in holed: (gamma_sigma2, gamma_w) = (-1, 2)",
    )  # fmt: skip
    assert sweep_beside(holed, made("one")).notes[0].startswith("1 cell of one is not in holed")


def test_values_are_compared_to_the_digits_that_a_grid_keeps(made):
    thirds = made("thirds", grid={"gamma_sigma2": [-2 / 3], "gamma_w": [1.0, 4 / 3]})
    assert (
        sweep_beside(thirds, made("again", grid={"gamma_sigma2": [-0.666666666667], "gamma_w": [1, 4 / 3]})).notes == ()
    )
    raw = made("raw", grid={"gamma_sigma2": [-0.66666], "gamma_w": [1.0, 4 / 3]})
    with pytest.raises(LinphaseError, match=r"no cell of thirds is in raw: gamma_sigma2 is -0.6667 in thirds, and "):
        sweep_beside(thirds, raw)


def test_a_single_other_value_is_a_fact_and_stands_beside_every_value_of_an_axis(made):
    noises, louder = made("noises", grid={"task.noise": [0.5, 1.0]}), made("louder", task={"noise": 2.0})
    reference = sweep_beside(noises, louder)
    assert (reference.facts, reference.notes) == ({"task.noise": "2"}, ("louder differs in task.noise: 2",))
    assert [axis.column for axis in off_axes(reference.runs, reference.axes)] == ["noise"]
    assert sweep_beside(made("one"), louder).facts == {"task.noise": "2"}
    one = sweep_beside(noises, made("one"))  # which has a value that is on the axis
    assert one.facts == {}
    assert one.notes[0].startswith("6 cells of noises are not in one: (gamma_sigma2, gamma_w, noise) = (-2, 1, 0.5), ")
    assert off_axes(one.runs, one.axes) == []


def test_a_key_of_the_task_that_only_one_of_two_sweeps_sets_is_a_fact(made):
    one, normed = made("one"), made("normed", task={"signal_norm": 2.0})
    assert sweep_beside(one, normed).facts == {"task.signal_norm": "2"}
    assert sweep_beside(normed, one).facts == {"task.signal_norm": "not set"}


def test_keys_that_only_the_others_kind_has_are_no_facts_but_an_axis_that_it_lacks_is(made):
    rates = {"dynamics.learning_rate": [0.01, 0.02]}
    descent = made("descent", grid=rates | {"gamma_sigma2": [-1.0], "gamma_w": [1.0]}, dynamics={"kind": "gd"})
    one = made("one")
    reference = sweep_beside(descent, one)
    assert reference.facts == {"dynamics.kind": "modes", "dynamics.learning_rate": "unused"}
    assert {axis.column for axis in off_axes(reference.runs, reference.axes)} == {"learning_rate_rule"}
    with pytest.raises(
        LinphaseError, match=r"descent has 2 values of dynamics.learning_rate, 0.01, 0.02, and one has n"
    ):
        sweep_beside(one, descent)
    slow = sweep_beside(one, where(descent, learning_rate_rule=[0.01]))
    assert slow.facts == {"dynamics.kind": "gd"}


def test_a_grid_of_variances_and_widths_meets_one_of_their_exponents(made):
    raw = made("numbers", grid={"gamma_sigma2": None, "gamma_w": None, "init_variance": [0.125, 1.0], "width": [8, 64]})
    assert sweep_beside(made("one"), raw).notes == (
        "2 cells of one are not in numbers: (gamma_sigma2, gamma_w) = (-2, 1), (-2, 2)",
    )  # fmt: skip
    assert sweep_beside(raw, made("one")).notes == (
        "2 cells of one are not in numbers: (init_variance, width) = (0.01562, 8), (0.01562, 64)",
    )  # fmt: skip


def test_an_axis_that_the_other_sweep_alone_has_is_taken_where_the_results_stand(made):
    noises = made("noises", grid={"task.noise": [0.5, 1.0]})
    reference = sweep_beside(made("one"), noises)
    assert set(reference.runs["noise"]) == {1.0}
    assert list(reference.axes) == list(made("one").axes)
    assert reference.notes[0].startswith("6 cells of noises are not in one: (gamma_sigma2, gamma_w, noise) = (-2, 1, ")
    louder = made("louder", task={"noise": 2.0})
    with pytest.raises(LinphaseError, match=r"noises has 2 values of task.noise, 0.5, 1, and louder has 2: a single "):
        sweep_beside(louder, noises)
    assert sweep_beside(louder, where(noises, noise=[0.5])).facts == {"task.noise": "0.5"}


def test_what_is_left_out_of_the_results_is_left_out_of_the_other_sweep(made):
    noises, twin = made("noises", grid={"task.noise": [0.5, 1.0]}), made("noises2", grid={"task.noise": [0.5, 1.0]})
    part = where(noises, noise=[1.0], gamma_w=[2.0])
    reference = sweep_beside(part, twin)
    assert reference.notes == ()
    assert (len(reference.runs), set(reference.runs["noise"])) == (3, {1.0})
    over_c = replace(part, axes=span(part.runs, part.axes, x="c"))  # which is in the place of the variance
    assert sweep_beside(over_c, twin).notes == ()
    quieter = sweep_beside(part, where(twin, noise=[0.5]))  # a part of its own, chosen on purpose
    assert quieter.facts == {"task.noise": "0.5"}


def test_replicates_are_those_that_each_has_and_a_chosen_one_is_chosen_in_both(made):
    three = made("three", grid={"replicates": 3})
    assert sweep_beside(made("one"), three).facts == {"replicates": "3"}
    assert set(sweep_beside(made("one"), three).runs["replicate"]) == {0, 1, 2}
    first = sweep_beside(where(three, replicate=[1]), made("three_again", grid={"replicates": 3}))
    assert (first.facts, set(first.runs["replicate"])) == ({}, {1})
    assert sweep_beside(where(three, replicate=[1]), made("one")).facts == {"replicates": "number 0"}


def test_sweeps_without_a_common_cell_or_without_runs_are_refused(made):
    one, wide = made("one"), made("wide", grid={"gamma_w": [3.0]})
    with pytest.raises(LinphaseError, match=r"no cell of one is in wide: gamma_w is 1, 2 in one, and 3 in wide. Sweep"):
        sweep_beside(one, wide)
    crossed = [made(f"{at}", keep=lambda spec, at=at: (spec.start[0][1] < -0.5) is at) for at in (True, False)]
    with pytest.raises(LinphaseError, match=r"no cell of True is in False: gamma_sigma2 is -2, -1 in True, and 0 in"):
        sweep_beside(*crossed)
    for pair in ((one, made("none", keep=lambda spec: False)), (made("none"), one)):
        with pytest.raises(
            LinphaseError, match=r"none: at least one run is required, found none yet. Finish its sweep"
        ):
            sweep_beside(*pair)


def test_equal_names_are_told_apart_by_as_much_of_their_paths_as_it_takes(made, tmp_path):
    one = made("one")
    copy = replace(one, path=tmp_path / "elsewhere" / "one")
    assert sweep_beside(one, copy).names == (f"{one.path.parent.name}/one", "elsewhere/one")
    assert sweep_beside(one, one).names == ("one", "other one")


def test_where_theory_starts_is_said_of_theory_alone_and_own_starts_are_those_of_the_same_draws(made):
    one = made("one").runs
    own, flow = one.assign(kind="self_consistent"), one.assign(kind="flow")
    assert start_of(one, flow) == "theory from $A(0) = 0$, without the start's own noise"
    assert start_of(own, flow) == "theory from each run's own start"
    assert start_of(own, flow.assign(seed=7)) == "theory, from starts of other draws"
    assert start_of(own, pd.concat([flow, flow.assign(replicate=1)])) == "theory, from starts of other draws"
    assert (
        start_of(flow, own) == start_of(pd.concat([flow, own]), flow) == start_of(one.drop(columns="kind"), flow) == ""
    )
    assert differences("b", {}) == []


def test_cells_beyond_the_infinite_noise_line_are_told_where_theory_lacks_the_noise_of_their_start(made):
    one = made("one")
    assert theory_for(one).notes == ()  # theory against itself
    flow = replace(one, runs=one.runs.assign(kind="flow"))
    (note,) = theory_for(flow).notes
    # 2 gamma_sigma2 + gamma_w > 0 at (0, 1) and (0, 2); on the line at (-1, 2)
    assert note.startswith("theory starts from A = 0: in 2 of 6 cells, those beyond the infinite-noise line, the diff")
    assert 'dynamics.kind = "self_consistent"' in note
    assert sweep_beside(flow, one).notes[-1] == note
    assert theory_for(where(flow, gamma_sigma2=[-2.0, -1.0])).notes == ()


def test_wide_runs_agree_with_theory_from_their_own_starts_as_one_over_the_root_of_the_width(made):
    grid = {"gamma_sigma2": [-2.5, -2.0, -1.5], "gamma_w": [4.0, 8.0]}  # widths of 4096 and 1.7e7, lazy and active
    flow = made("flow", grid=grid, dynamics={"kind": "flow"})
    own = made("own", grid=grid, dynamics={"kind": "self_consistent"})
    reference = sweep_beside(flow, own)
    assert reference.facts == {"dynamics.kind": "self_consistent"}
    assert (flow.runs["init_variance"] ** 2 * flow.runs["width"] > 1).any()  # beyond the infinite-noise line

    def apart(others):
        pairs = flow.runs.merge(others, on=["gamma_sigma2", "gamma_w"], suffixes=("", "_other"))
        assert (pairs["regime"] == pairs["regime_other"]).all()
        return np.abs(np.log(pairs["min_test_error"] / pairs["min_test_error_other"]))

    assert (apart(reference.runs) < flow.runs["width"].astype(float) ** -0.5).all()
    assert apart(theory_for(flow).runs).max() > 0.3
