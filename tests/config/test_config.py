"""The configuration: what parses, what every mistake is told, and what a run's id depends on."""

import dataclasses
import hashlib
import json
import pickle
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linphase.config.config import SweepConfig, difference, load_config, parse_config
from linphase.config.keys import declared, fields_of
from linphase.dynamics.gradient_descent import PaperRate
from linphase.errors import ConfigError, LinphaseError
from linphase.model.draws import TaskConfig
from linphase.model.network import Initialization
from linphase.model.registry import forget
from linphase.runs.stopping import Converged, Stop
from linphase.store.columns import runs_columns
from linphase.store.rows import asked_for

SCHEMA = """\
name = "quickstart"                  # results go to results/<name> unless --out says otherwise
[task]
dimension = 64                       # d; A* and E are (d, d)
rank = 4
noise = 1.0                          # standard deviation of E's entries; 0 is allowed
signal_norm = 1.0122                 # optional: rescale A* so that ||A*||_F^2/d^2 is this; default: as drawn
[grid]                               # every combination is a cell
gamma_sigma2 = { start = -3.0, stop = 0.0, num = 16 }   # inclusive; or a list of numbers, or one number
gamma_w      = { start = 0.0, stop = 2.8, num = 16 }    # exactly one variance key (gamma_sigma2 or init_variance)
replicates = 1                                          # and one width key (gamma_w or width) is required
[dynamics]
kind = "flow"                        # "flow", "gd"
tolerance = 3e-4                     # flow
stages = "float32"                  # flow
# learning_rate = "auto"               # gd: "paper", { paper = 5 } for another divisor, "auto" = 1/(50 max(c, ||Y||_op)), or a number
# update = "simultaneous"              # gd: or "alternating"
# max_steps = 100000                   # gd
max_evaluations = 100000             # flow: budget of gradient evaluations
[stop]
rule = "converged"                   # to the end; or "paper", its early stopping
excess_error = 1e-3                  # above what the width can reach, relative to noise^2
[record]
snapshots = 48                       # times kept per run, spread so that every phase of training is resolved
singular_values = "all"              # or a number: the leading ones over time (the final values of all modes are always kept)
[run]
seed = 0
precision = "float64"                # or "float32"
"""  # noqa: E501 - from the issue that made it the contract; a key that the kind does not use is refused since


def config(grid: dict[str, Any] | None = None, **sections: Any) -> SweepConfig:
    grid = {"gamma_sigma2": -1, "gamma_w": 1.5} | (grid or {})
    return parse_config({"name": "x", "grid": grid, **sections})


def ids(sweep: SweepConfig) -> list[str]:
    return [spec.run_id for spec in sweep.expand()]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return path


def errors(mapping: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(mapping, "sweep.toml")
    return str(caught.value).splitlines()


# What parses


def test_the_schema_of_the_issue_parses_verbatim(tmp_path: Path) -> None:
    sweep = load_config(write(tmp_path, SCHEMA))
    assert (sweep.cells, sweep.runs, sweep.largest_width) == (256, 256, int(64**2.8))
    assert sweep.task.signal_norm == 1.0122


def test_the_defaults_are_those_of_the_schema(tmp_path: Path) -> None:
    written = load_config(write(tmp_path, SCHEMA.replace("signal_norm", "# signal_norm")))
    grid = written.resolved()["grid"]
    assert parse_config({"name": "quickstart", "grid": grid}) == written


def test_spaced_values_are_exact_and_include_both_ends() -> None:
    values = config({"gamma_w": {"start": 0.3, "stop": 0.6, "num": 4}}).grid.axes["gamma_w"]
    assert values == (0.3, 0.4, 0.5, 0.6)
    assert config({"gamma_sigma2": {"start": -0.3, "stop": 0.3, "num": 7}}).grid.axes["gamma_sigma2"][3] == 0


def test_a_finer_grid_contains_the_runs_of_the_coarse_one() -> None:
    coarse = config({"gamma_w": {"start": 0, "stop": 2.8, "num": 16}})
    fine = config({"gamma_w": {"start": 0, "stop": 2.8, "num": 31}}, task={"dimension": 64})
    assert set(ids(coarse)) < set(ids(fine))


def test_axis_values_are_rounded_to_12_significant_digits() -> None:
    sweep = config({"gamma_w": [0.1 + 0.2, 1 / 3]})
    assert sweep.grid.axes["gamma_w"] == (0.3, 0.333333333333)
    assert next(sweep.expand()).start == (("gamma_sigma2", -1.0), ("gamma_w", 0.3))


def test_descending_and_single_axes_keep_what_is_written() -> None:
    sweep = config({"gamma_w": {"start": 2, "stop": 1, "num": 2}, "gamma_sigma2": {"start": -1, "stop": -1, "num": 1}})
    assert sweep.grid.axes == {"gamma_sigma2": (-1.0,), "gamma_w": (2.0, 1.0)}


def test_an_integer_axis_may_be_spaced() -> None:
    grid = {"gamma_sigma2": -1, "width": {"start": 10, "stop": 40, "num": 4}}
    widths = parse_config({"name": "x", "grid": grid}).grid.axes["width"]
    assert widths == (10, 20, 30, 40)
    assert all(type(width) is int for width in widths)


def test_axes_are_variance_then_width_then_facets_in_file_order() -> None:
    sweep = parse_config(
        {
            "name": "x",
            "grid": {"task.rank": [1, 2], "run.precision": "float32", "width": 8, "gamma_sigma2": [-1, 0]},
        }
    )
    assert list(sweep.grid.axes) == ["gamma_sigma2", "width", "task.rank", "run.precision"]


def test_runs_vary_replicate_fastest_then_width_then_variance_then_facets() -> None:
    sweep = config({"gamma_sigma2": [-2, -1], "gamma_w": [1, 2], "task.rank": [1, 2], "replicates": 2})
    order = [(spec.task.rank, spec.start[0][1], spec.start[1][1], spec.replicate) for spec in sweep.expand()]
    assert order == sorted(order)
    assert len(order) == sweep.runs == 16


def test_quoted_and_nested_facets_are_the_same(tmp_path: Path) -> None:
    base = 'name = "x"\n[grid]\ngamma_w = 1\ngamma_sigma2 = 0\n'
    quoted = load_config(write(tmp_path, base + '"task.rank" = [1, 2]'))
    for line in ("task.rank = [1, 2]", "[grid.task]\nrank = [1, 2]", "task = { rank = [1, 2] }"):
        assert load_config(write(tmp_path, base + line)) == quoted


def test_a_facet_decides_its_key_even_where_the_section_gives_it() -> None:
    sweep = config({"task.rank": [1, 2], "task.dimension": [2, 9]}, task={"rank": 5})
    assert [(spec.task.dimension, spec.task.rank) for spec in sweep.expand()] == [
        (2, 1),
        (9, 1),
        (2, 2),
        (9, 2),
    ]
    assert sweep.task == TaskConfig(dimension=2, rank=1)


def test_learning_rates_of_every_form_can_be_one_axis() -> None:
    rates = ["auto", "paper", {"paper": 5}, 0.01, 1]
    sweep = config({"dynamics.learning_rate": rates}, dynamics={"kind": "gd"})
    rules = [asked_for(spec)["learning_rate_rule"] for spec in sweep.expand()]
    assert rules == ["auto", "paper", "paper/5", "0.01", "1"]
    assert sweep.grid.axes["dynamics.learning_rate"][2] == PaperRate(paper=5)
    assert json.loads(json.dumps(sweep.resolved()))["grid"]["dynamics.learning_rate"][2] == {"paper": 5.0}


def test_numpy_values_are_welcome_from_python() -> None:
    sweep = config({"gamma_w": np.linspace(0, 1, 5), "replicates": np.int64(2)}, task={"noise": np.float64(0)})
    assert sweep.runs == 10


def test_noise_zero_with_any_signal_norm_is_allowed() -> None:
    assert config(task={"noise": 0}).task.noise == 0
    assert config(task={"noise": -0.0, "signal_norm": 2}).task.used()["noise"].hex() == (0.0).hex()


# What an initialization is


def test_an_initialization_knows_its_variance_and_width() -> None:
    start = Initialization.at(64, gamma_sigma2=-0.5, gamma_w=2 / 3)
    assert (start.init_variance, start.width, start.threshold) == (0.125, 15, 1.875)


def test_an_initialization_by_variance_and_width_gives_the_exponents() -> None:
    start = Initialization.at(10, init_variance=0.01, width=1000)
    assert (start.gamma_sigma2, start.gamma_w) == pytest.approx((-2, 3))


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"gamma_w": 1},
        {"gamma_w": 1, "width": 3, "gamma_sigma2": 0},
        {"gamma_w": 1e3, "gamma_sigma2": 0},
        {"gamma_w": float("nan"), "gamma_sigma2": 0},
        {"gamma_w": 1, "gamma_sigma2": -1e3},
        {"gamma_w": 1, "init_variance": 0.0},
        {"width": 0, "init_variance": 1.0},
    ],
)
def test_an_impossible_initialization_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Initialization.at(64, **keys)


# What a mistake is told. Each row: what is changed in a sound configuration, the key named, words of the line

RANGE = {"start": 0, "stop": 1, "num": 3}
MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"name": None}, "name", "must be 1 to 100 of the characters"),
    ({"name": "a/b"}, "name", 'found "a/b"'),
    ({"name": ".."}, "name", 'found ".."'),
    ({"name": "-x"}, "name", 'found "-x"'),
    ({"name": ""}, "name", 'found ""'),
    ({"name": "x\n"}, "name", r'found "x\n"'),
    ({"name": "x" * 101}, "name", "1 to 100"),
    ({"nmae": "x"}, "nmae", 'not a key, found "x"; did you mean name?'),
    ({"replicates": 3}, "replicates", "did you mean grid.replicates?"),
    ({"task": 3}, "task", "must be a table, found 3"),
    ({"grid": [1]}, "grid", "must be a table, found [1]"),
    ({"task.rnak": 3}, "task.rnak", "is not a key, found 3; did you mean task.rank?"),
    ({"task.zzz": 3}, "task.zzz", "known are dimension, rank, noise, signal_norm"),
    ({"task.kind": "gd"}, "task.kind", "did you mean init.kind or dynamics.kind?"),
    ({"task.dimension": 3.0}, "task.dimension", "must be an integer from 2 to 20000, found 3.0"),
    ({"task.dimension": 3.5}, "task.dimension", "found 3.5"),
    ({"task.dimension": True}, "task.dimension", "found true"),
    ({"task.dimension": "4"}, "task.dimension", 'found "4"'),
    ({"task.dimension": [4]}, "task.dimension", "found [4]"),
    ({"task.dimension": 1}, "task.dimension", "found 1"),
    ({"task.dimension": 20_001}, "task.dimension", "found 20001"),
    ({"task.rank": 0}, "task.rank", "must be an integer of at least 1"),
    ({"task.rank": 65}, "task.rank", "must be at most task.dimension = 64, found 65"),
    ({"task.dimension": 3}, "task.rank", "must be at most task.dimension = 3, found 4"),
    ({"task.noise": -1}, "task.noise", "must be a finite number of at least 0 and at most 1e9, found -1"),
    ({"task.noise": float("nan")}, "task.noise", "found nan"),
    ({"task.noise": float("inf")}, "task.noise", "found inf"),
    ({"task.noise": True}, "task.noise", "found true"),
    ({"task.noise": 10**400}, "task.noise", "found an integer of about 10^400"),
    ({"task.signal_norm": 0}, "task.signal_norm", "must be a finite number above 0, 1e-18 to 1e18, found 0"),
    ({"dynamics.kind": "flwo"}, "dynamics.kind", 'must be "flow", "gd", "self_consistent" or "modes", found "flwo"'),
    ({"dynamics.tolerance": 0.2}, "dynamics.tolerance", "above 0 and at most 0.1, found 0.2"),
    ({"dynamics.tolerance": 0}, "dynamics.tolerance", "found 0"),
    ({"dynamics.kind": "gd", "dynamics.learning_rate": "fast"}, "dynamics.learning_rate", 'must be "auto", "paper"'),
    ({"dynamics.kind": "gd", "dynamics.learning_rate": 0}, "dynamics.learning_rate", "found 0"),
    ({"dynamics.kind": "gd", "dynamics.learning_rate": {"paper": 0}}, "dynamics.learning_rate", "found { paper = 0 }"),
    ({"dynamics.kind": "gd", "dynamics.learning_rate": {"papr": 5}}, "dynamics.learning_rate", "found { papr = 5 }"),
    ({"dynamics.kind": "gd", "dynamics.learning_rate": True}, "dynamics.learning_rate", "found true"),
    ({"dynamics.kind": "gd", "dynamics.update": "both"}, "dynamics.update", 'must be "simultaneous" or "alternating"'),
    (
        {"dynamics.kind": "gd", "dynamics.max_steps": 0},
        "dynamics.max_steps",
        "must be an integer from 1 to 10^9, found 0",
    ),
    ({"dynamics.kind": "gd", "dynamics.max_steps": 10**10}, "dynamics.max_steps", "found 10000000000"),
    ({"dynamics.max_evaluations": 0}, "dynamics.max_evaluations", "must be an integer from 1"),
    ({"stop.rule": "early"}, "stop.rule", 'must be "converged", "paper" or "time"'),
    ({"stop.rule": "paper"}, "stop.rule", 'with dynamics.kind = "flow", found "paper"'),
    ({"stop.excess_error": 0}, "stop.excess_error", "must be a finite number above 0"),
    ({"record.snapshots": 1}, "record.snapshots", "must be an integer from 2 to 10000"),
    ({"record.snapshots": 10_001}, "record.snapshots", "found 10001"),
    ({"record.singular_values": 0}, "record.singular_values", 'must be "all" or an integer'),
    ({"record.singular_values": "some"}, "record.singular_values", 'found "some"'),
    ({"run.seed": -1}, "run.seed", "must be an integer from 0 to 2^63 - 1, found -1"),
    ({"run.seed": 2**63}, "run.seed", "found 9223372036854775808"),
    ({"run.precision": "double"}, "run.precision", 'must be "float64" or "float32"'),
    ({"grid.gamma_w": []}, "grid.gamma_w", "at least one value, found []"),
    ({"grid.gamma_w": [1, True]}, "grid.gamma_w[1]", "must be a finite number of at least 0, found true"),
    ({"grid.gamma_w": [1, 2, 1.0]}, "grid.gamma_w[2]", "found 1.0 again (first at [0])"),
    ({"grid.gamma_w": [0.3, 0.1 + 0.2]}, "grid.gamma_w[1]", "differ from the other values in 12 digits"),
    ({"grid.gamma_w": [[1]]}, "grid.gamma_w[0]", "found [1]"),
    ({"grid.gamma_w": "wide"}, "grid.gamma_w", 'found "wide"'),
    ({"grid.gamma_w": -0.5}, "grid.gamma_w", "of at least 0, found -0.5"),
    (
        {"grid.gamma_w": [1, 9]},
        "grid.gamma_w",
        "must be at most 8.8333 at d = 64 (a width of 2^53), found 9.0",
    ),
    ({"grid.gamma_w": 1e300}, "grid.gamma_w", "found 1e+300"),
    ({"grid.gamma_w": 7.5, "grid.task.dimension": [64, 200]}, "grid.gamma_w", "at d = 200"),
    ({"grid.gamma_w": {"start": 0, "stop": 1}}, "grid.gamma_w", "must be { start, stop, num }"),
    ({"grid.gamma_w": RANGE | {"step": 1}}, "grid.gamma_w", "step = 1"),
    ({"grid.gamma_w": RANGE | {"num": 0}}, "grid.gamma_w.num", "an integer of at least 1, found 0"),
    ({"grid.gamma_w": RANGE | {"num": 2.0}}, "grid.gamma_w.num", "found 2.0"),
    ({"grid.gamma_w": RANGE | {"num": True}}, "grid.gamma_w.num", "found true"),
    ({"grid.gamma_w": RANGE | {"num": 1}}, "grid.gamma_w.num", "at least 2, as start is not stop"),
    ({"grid.gamma_w": RANGE | {"stop": 0}}, "grid.gamma_w.num", "must be 1 where start equals stop"),
    ({"grid.gamma_w": RANGE | {"start": -1}}, "grid.gamma_w.start", "of at least 0, found -1"),
    ({"grid.gamma_w": RANGE | {"stop": float("inf")}}, "grid.gamma_w.stop", "found inf"),
    (
        {"grid.gamma_w": {"start": 1, "stop": 1.0000000000001, "num": 3}},
        "grid.gamma_w",
        "must span 3 values that differ in 12 digits, found fewer",
    ),
    ({"grid.gamma_sigma2": float("nan")}, "grid.gamma_sigma2", "must be a finite number, found nan"),
    ({"grid.gamma_sigma2": [-1, -200]}, "grid.gamma_sigma2", "a normal float64), found -200.0"),
    ({"grid.gamma_sigma2": 170, "grid.gamma_w": 8}, "grid.gamma_sigma2", "keep sigma2 * width finite"),
    ({"grid.gamma_sigma2": ..., "grid.init_variance": [1, 0]}, "grid.init_variance[1]", "above 0"),
    ({"grid.gamma_sigma2": ..., "grid.init_variance": -1.0}, "grid.init_variance", "found -1.0"),
    ({"grid.gamma_sigma2": ..., "grid.init_variance": 1e-310}, "grid.init_variance", "normal float64"),
    (
        {"grid.gamma_sigma2": ...},
        "grid",
        "exactly one variance key, gamma_sigma2 or init_variance, found neither",
    ),
    ({"grid.gamma_w": ...}, "grid", "exactly one width key, gamma_w or width, found neither. Example: width"),
    ({"grid.width": 3}, "grid", "gamma_w or width, found both"),
    ({"grid.init_variance": 3}, "grid", "gamma_sigma2 or init_variance, found both"),
    ({"grid.gamma_w": ..., "grid.width": [1, 0]}, "grid.width[1]", "from 1 to 2^53, found 0"),
    ({"grid.gamma_w": ..., "grid.width": 2**53 + 1}, "grid.width", "found 9007199254740993"),
    ({"grid.gamma_w": ..., "grid.width": 3.0}, "grid.width", "found 3.0"),
    (
        {"grid.gamma_w": ..., "grid.width": {"start": 1, "stop": 10, "num": 3}},
        "grid.width",
        "must step by a whole number, found steps of 4.5",
    ),
    (
        {"grid.gamma_w": ..., "grid.width": {"start": 1.0, "stop": 3, "num": 3}},
        "grid.width.start",
        "found 1.0",
    ),
    ({"grid.replicates": 0}, "grid.replicates", "must be an integer of at least 1, found 0"),
    ({"grid.replicates": [1, 2]}, "grid.replicates", "found [1, 2]"),
    ({"grid.replicates": 10**8}, "grid", "at most 10^7 runs, found 1 cells x 100000000 replicates"),
    ({"grid.gamma_w": RANGE | {"num": 10**9}}, "grid", "found 1000000000 cells"),
    ({"grid.gamma_w": RANGE | {"num": 10**30}}, "grid", "an integer of about 10^"),
    ({"grid.gama_w": 1}, "grid.gama_w", "did you mean grid.gamma_w?"),
    ({"grid.rank": 1}, "grid.rank", "did you mean grid.task.rank?"),
    ({"grid.task": {"rnak": [1]}}, "grid.task.rnak", "did you mean grid.task.rank?"),
    ({"grid.record.snapshots": [8, 9]}, "grid.record.snapshots", "cannot be an axis"),
    ({"grid.run.seed": [8, 9]}, "grid.run.seed", "cannot be an axis"),
    ({"grid.task.rank": [1, 2.0]}, "grid.task.rank[1]", "must be an integer of at least 1"),
    ({"grid.task.rank": [1, 65, 99]}, "grid.task.rank", "at most task.dimension = 64, found 65, 99"),
    ({"grid.task.rank": [1, 9], "grid.task.dimension": [8, 64]}, "grid.task.rank", "= 8, found 9"),
    ({"grid.task": {"rank": [1]}, "grid.task.rank": [1]}, "grid.task.rank", "is given twice"),
    ({"grid.dynamics.kind": ["gd", "gdd"]}, "grid.dynamics.kind[1]", 'found "gdd"'),
    (
        {"grid.dynamics.kind": RANGE},
        "grid.dynamics.kind",
        'must be "flow", "gd", "self_consistent" or "modes", found {',
    ),
    ({"grid.dynamics.kind": ["gd", "flow"], "stop.rule": "paper"}, "stop.rule", 'found "paper"'),
    ({"grid.stop.rule": ["converged", "paper"]}, "grid.stop.rule", 'with dynamics.kind = "flow"'),
    (
        {"grid.dynamics.tolerance": [0.01, 0.1], "dynamics.kind": "gd"},
        "grid.dynamics.tolerance",
        'must not be an axis with dynamics.kind = "gd"',
    ),
    (
        {"grid.dynamics.max_steps": [1, 2], "grid.dynamics.kind": ["gd", "flow"]},
        "grid.dynamics.max_steps",
        'dynamics.kind = "flow", which does not use it (the same runs would be repeated), found [1, 2]',
    ),
    (
        {"grid.stop.excess_error": [0.1, 1], "dynamics.kind": "gd", "stop.rule": "paper"},
        "grid.stop.excess_error",
        'must not be an axis with stop.rule = "paper"',
    ),
    (
        {"dynamics.kind": "gd", "grid.dynamics.learning_rate": {"start": "auto", "stop": 1, "num": 3}},
        "grid.dynamics.learning_rate.start",
        'must be a number, found "auto"',
    ),
    (
        {"dynamics.kind": "gd", "grid.dynamics.learning_rate": ["paper", {"paper": 50}]},
        "grid.dynamics.learning_rate[1]",
        'found "paper" again',
    ),
]


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """A sound mapping with changes by dotted name; `...` removes a key."""
    mapping: dict[str, Any] = {"name": "x", "grid": {"gamma_sigma2": -1, "gamma_w": 1}}
    for path, value in changes.items():
        section, _, name = path.partition(".")
        table = mapping.setdefault(section, {}) if name else mapping
        table[name or section] = value
        if value is ...:
            del table[name or section]
    return mapping


@pytest.mark.parametrize(("changes", "key", "words"), MISTAKES, ids=lambda part: str(part)[:60])
def test_a_mistake_is_told_with_its_key_what_is_required_and_what_was_found(
    changes: dict[str, Any], key: str, words: str
) -> None:
    lines = errors(changed(changes))
    assert len(lines) == 1
    assert lines[0].startswith(f"sweep.toml: {key}: ")
    assert words in lines[0]
    assert "pydantic" not in lines[0].lower()
    assert "Input should" not in lines[0]


def test_all_mistakes_are_told_together() -> None:
    lines = errors(
        {
            "nam": "x",
            "task": {"dimension": 2.5, "noise": "loud", "rank": True},
            "grid": {
                "gamma_w": {"start": 0, "stop": 1, "num": 10**9},
                "task.noise": [1, -1],
                "task.rank": [70],
            },
            "run": {"seed": -1},
        }
    )
    named = [line.split(": ")[1] for line in lines]
    assert named == [
        *("nam", "name", "task.dimension", "task.rank", "task.noise", "run.seed"),
        *("grid", "grid.task.noise[1]", "grid"),
    ]


def test_a_million_million_cells_are_refused_without_being_written_out() -> None:
    axis = {"start": 0.0, "stop": 1.0, "num": 10**9}
    tracemalloc.start()
    lines = errors({"name": "x", "grid": {"gamma_w": axis, "gamma_sigma2": axis, "replicates": 10**12}})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "at most 10^7 runs" in lines[0]
    assert peak < 10**6


def test_a_config_that_is_no_table_is_refused() -> None:
    assert errors([1]) == ["sweep.toml: must be a table of keys, found [1]"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[task]\nrank = = 4\n", "not valid TOML: Invalid value (at line 2"),
        (b"[task]\nrank = 4\nrank = 5\n", "(at line 3"),
        (b"[task\n", "(at line 1"),
        (b"name = '\xff'", "must be UTF-8 text, found byte 0xff at position 8"),
        (b"x = " + b"[" * 100_000, "nested too deeply"),
        (b"x = " + b"1" * 5000, "not valid TOML"),
    ],
    ids=["value", "twice", "table", "latin-1", "deep", "digits"],
)
def test_a_file_that_is_not_toml_is_told_where(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "sweep.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SCHEMA.replace("\n", "\r\n").encode())
    assert load_config(path) == load_config(write(tmp_path, SCHEMA))


# Overrides

RANK = "must be an integer of at least 1 (and at most the smaller dimension)"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("task.dimension=200", ("task.dimension", (200,))),
        (" task . dimension = 200", ("task.dimension", (200,))),
        ("run.precision=float32", ("run.precision", ("float32",))),
        ('run.precision="float32"', ("run.precision", ("float32",))),
        ("grid.task.rank=[1,2]", ("task.rank", (1, 2))),
        ('grid."task.rank"=[1,2]', ("task.rank", (1, 2))),
        ("grid.'task.rank'=3", ("task.rank", (3,))),
        ("grid.task={rank=[1,2]}", ("task.rank", (1, 2))),
        ("grid.gamma_w.num=3", ("gamma_w", (0.0, 1.4, 2.8))),
        ("grid.gamma_w=[0.5]", ("gamma_w", (0.5,))),
        ("grid.gamma_w={start=0,stop=1,num=2}", ("gamma_w", (0.0, 1.0))),
        ("dynamics.learning_rate={paper=5}", ("dynamics.learning_rate", (PaperRate(paper=5),))),
    ],
)
def test_an_override_takes_the_place_of_the_files_value(
    tmp_path: Path, override: str, expected: tuple[str, tuple[Any, ...]]
) -> None:
    key, values = expected
    text = SCHEMA
    if "learning_rate" in key:
        text = re.sub(r"(?m)^(tolerance|stages|max_evaluations)", r"# \1", text).replace('kind = "flow"', 'kind = "gd"')
    assert load_config(write(tmp_path, text), [override]).values(key) == values


def test_the_last_of_two_overrides_holds(tmp_path: Path) -> None:
    sweep = load_config(write(tmp_path, SCHEMA), ["name=a", "task.rank=1", "name=b.1"])
    assert (sweep.name, sweep.task.rank) == ("b.1", 1)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("task.rank", '--set takes KEY=VALUE, such as task.rank=8, found "task.rank"'),
        ("=3", '--set takes KEY=VALUE, such as task.rank=8, found "=3"'),
        ("task..rank=3", '--set takes KEY=VALUE, such as task.rank=8, found "task..rank=3"'),
        ("task.rank.x=3", "--set task.rank.x: task.rank must be a table, found 4"),
        ("name.x=3", '--set name.x: name must be a table, found "quickstart"'),
        ("task.rank=3.5", f"--set task.rank: {RANK}, found 3.5"),
        ("task.rank=", f'--set task.rank: {RANK}, found ""'),
        ("task={rank=0}", f"--set task.rank: {RANK}, found 0"),
        ("task.noise=True", '--set task.noise: must be a finite number of at least 0 and at most 1e9, found "True"'),
        ("tsak.rank=3", "--set tsak: is not a key, found { rank = 3 }; did you mean task?"),
        ("grid.gamma_w=[1,-1]", "--set grid.gamma_w[1]: must be a finite number of at least 0, found -1"),
        ("grid.gamma_w.num=1", "--set grid.gamma_w.num: must be at least 2, as start is not stop, found 1"),
        ("run.seed=1.0", "--set run.seed: must be an integer from 0 to 2^63 - 1, found 1.0"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_told_as_such(tmp_path: Path, override: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, SCHEMA), [override])
    assert str(caught.value) == line


def test_a_second_variance_key_by_override_is_told_with_both_places(tmp_path: Path) -> None:
    path = write(tmp_path, SCHEMA)
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["grid.init_variance=0.1"])
    assert f"found both: gamma_sigma2 (from {path}) and init_variance (from --set)" in str(caught.value)


def test_an_override_that_an_axis_would_silence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--set task\.rank: has no effect, as grid\.task\.rank is an axis"):
        load_config(write(tmp_path, SCHEMA), ["grid.task.rank=[1,2]", "task.rank=3"])


# What a run's id depends on

exponents = st.lists(
    st.floats(-3, 0, allow_nan=False).map(lambda x: round(x, 6)),
    min_size=1,
    max_size=4,
    unique_by=lambda x: x + 0.0,
)


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["flow", "gd"]))
    grid: dict[str, Any] = {
        "gamma_sigma2": draw(exponents),
        "width": draw(st.lists(st.integers(1, 2**53), min_size=1, max_size=4, unique=True)),
        "replicates": draw(st.integers(1, 3)),
    }
    if draw(st.booleans()):
        grid["task.rank"] = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True))
    if draw(st.booleans()):
        grid["run.precision"] = ["float32", "float64"]
    rate = st.sampled_from(["auto", "paper", {"paper": 5}, 0.25, 1])
    return {
        "name": draw(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)),
        "task": {"dimension": draw(st.integers(9, 300)), "noise": draw(st.floats(0, 9)), "rank": 2},
        "grid": grid,
        "dynamics": {"kind": kind}
        | ({"learning_rate": draw(rate), "max_steps": draw(st.integers(1, 99))} if kind == "gd" else {}),
        "run": {"seed": draw(st.integers(0, 2**63 - 1)), "independent_dimensions": draw(st.booleans())},
    }


@settings(max_examples=30, deadline=None)
@given(mappings())
def test_a_resolved_config_reads_back_as_itself_through_json(mapping: dict[str, Any]) -> None:
    sweep = parse_config(mapping)
    again = parse_config(json.loads(json.dumps(sweep.resolved(), allow_nan=False)))
    assert again == sweep
    assert list(again.grid.axes) == list(sweep.grid.axes)
    assert again.digest == sweep.digest
    assert ids(again) == ids(sweep)
    assert difference(again.resolved(), sweep.resolved()) == []


@settings(max_examples=30, deadline=None)
@given(mappings())
def test_every_cell_and_replicate_is_one_run_of_its_own(mapping: dict[str, Any]) -> None:
    sweep = parse_config(mapping)
    found = ids(sweep)
    assert len(found) == len(set(found)) == sweep.runs == sweep.cells * mapping["grid"]["replicates"]


@settings(max_examples=30, deadline=None)
@given(mappings())
def test_the_id_is_the_hash_of_the_canonical_json(mapping: dict[str, Any]) -> None:
    for spec in parse_config(mapping).expand():
        text = json.dumps(spec.canonical(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        assert spec.run_id == hashlib.sha256(text.encode()).hexdigest()[:20]


@settings(max_examples=30, deadline=None)
@given(mappings(), st.randoms(use_true_random=False))
def test_the_ids_do_not_depend_on_the_name_or_the_order_of_keys(mapping: dict[str, Any], random: Any) -> None:
    def shuffled(table: dict[str, Any]) -> dict[str, Any]:
        keys = list(table)
        random.shuffle(keys)
        return {key: shuffled(table[key]) if isinstance(table[key], dict) else table[key] for key in keys}

    original, other = parse_config(mapping), parse_config(shuffled(mapping) | {"name": "other"})
    assert sorted(ids(original)) == sorted(ids(other))


@pytest.mark.slow
@pytest.mark.parametrize(
    "fact",
    [
        test_a_resolved_config_reads_back_as_itself_through_json,
        test_every_cell_and_replicate_is_one_run_of_its_own,
        test_the_id_is_the_hash_of_the_canonical_json,
    ],
)
@settings(max_examples=100, deadline=None)
@given(mapping=mappings())
def test_what_an_id_depends_on_holds_for_many_configs(fact: Any, mapping: dict[str, Any]) -> None:
    fact.hypothesis.inner_test(mapping)


def test_one_written_as_an_integer_or_a_float_is_the_same_run() -> None:
    def sweep(zero: float, one: float) -> SweepConfig:
        grid, task = {"gamma_w": one, "gamma_sigma2": zero}, {"noise": one, "signal_norm": one}
        return config(grid, task=task, dynamics={"kind": "gd", "learning_rate": one})

    as_int, as_float = sweep(0, 1), sweep(-0.0, 1.0)
    assert ids(as_int) == ids(as_float)
    assert as_int.digest == as_float.digest


def test_the_papers_rate_with_divisor_50_is_the_papers_rate() -> None:
    written, named = ({"kind": "gd", "learning_rate": rate} for rate in ({"paper": 50}, "paper"))
    assert ids(config(dynamics=written)) == ids(config(dynamics=named))


@pytest.mark.parametrize(
    ("section", "table", "key", "users"),
    [
        ("dynamics", {"kind": "gd", "tolerance": 0.1}, "tolerance", 'dynamics.kind = "flow"'),
        ("dynamics", {"max_steps": 5}, "max_steps", 'dynamics.kind = "gd"'),
        ("stop", {"rule": "paper", "excess_error": 1.0}, "excess_error", 'stop.rule = "converged"'),
    ],
)
def test_a_key_that_no_run_uses_is_refused_where_the_user_wrote_it_and_passed_over_where_it_is_stored(
    section: str, table: dict[str, Any], key: str, users: str
) -> None:
    grid = {"gamma_sigma2": -1, "gamma_w": 1.5}
    mapping = {"name": "x", "grid": grid, "dynamics": {"kind": "gd"}} | {section: table}
    assert errors(mapping) == [
        f"sweep.toml: {section}.{key}: has no effect, found {table[key]}; {users} would use it. Remove it, or choose "
        "that"
    ]
    without = {name: value for name, value in table.items() if name != key}
    assert ids(parse_config(mapping, stored=True)) == ids(parse_config(mapping | {section: without}))


@pytest.mark.parametrize(
    "change",
    [
        {"task": {"dimension": 65}}, {"task": {"rank": 5}}, {"task": {"noise": 2}},
        {"task": {"signal_norm": 1}},
        {"dynamics": {"kind": "gd"}}, {"dynamics": {"tolerance": 0.01}}, {"dynamics": {"max_evaluations": 5}},
        {"stop": {"excess_error": 0.01}}, {"record": {"snapshots": 5}}, {"record": {"singular_values": 5}},
        {"run": {"seed": 1}}, {"run": {"precision": "float32"}},
        {"run": {"independent_dimensions": True}}, {"grid": {"gamma_w": 2}},
        {"grid": {"gamma_sigma2": -2}},
    ],
)  # fmt: skip
def test_every_key_that_decides_numbers_changes_the_id(change: dict[str, Any]) -> None:
    assert ids(config(**change)) != ids(config())


def test_a_facet_and_a_section_of_the_same_value_give_the_same_run() -> None:
    assert ids(config({"task.rank": [3]})) == ids(config(task={"rank": 3}))


def test_the_id_of_a_known_run_stays_what_it_was() -> None:
    # Stored results are found by their ids: whatever changes this text orphans all of them.
    text = (
        '{"dynamics":{"kind":"flow","max_evaluations":100000,"tolerance":0.0003},"numerics_version":5,'
        '"precision":"float64","record":{"compare":"none","singular_values":"all","snapshots":48},"replicate":0,"seed":0,'
        '"start":{"gamma_sigma2":-1.5,"gamma_w":1.4},"stop":{"rule":"converged","train_error":0.001},'
        '"task":{"dimension":64,"noise":1.0,"rank":4,"signal_norm":null}}'
    )
    assert hashlib.sha256(text.encode()).hexdigest()[:20] == "9dc4d9fa6b2aa5c367bf"
    assert ids(config({"gamma_sigma2": -1.5, "gamma_w": 1.4})) == ["9dc4d9fa6b2aa5c367bf"]


# Ids of linphase at numerics version 4, whose key was stop.train_error; digests without the keys that came later.
@pytest.mark.parametrize(
    ("axis", "stop", "found", "digest"),
    [
        ({}, {}, ["cdb2650968ab5d2ea83a"], "b7ffce1593118661"),
        ({}, {"KEY": 1e-5}, ["2a3aa8bd419def715c63"], "5a88fad40ec836b6"),
        ({"stop.KEY": [1e-2, 1e-5]}, {}, ["75108406899c75a69779", "2a3aa8bd419def715c63"], "943cf01fc4703418"),
    ],
)
def test_a_key_that_was_renamed_is_hashed_and_read_from_results_under_its_first_name(
    axis: dict[str, Any], stop: dict[str, Any], found: list[str], digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linphase.runs.spec.NUMERICS_VERSION", 4)

    def named(name: str) -> dict[str, Any]:
        grid = {key.replace("KEY", name): value for key, value in axis.items()}
        return {
            "name": "x",
            "grid": {"gamma_sigma2": -1, "gamma_w": 1.5, **grid},
            "stop": {key.replace("KEY", name): value for key, value in stop.items()},
        }

    sweep, stored = parse_config(named("excess_error")), parse_config(named("train_error"), stored=True)
    assert stored == sweep
    for each in (sweep, stored):
        assert (ids(each), each.digest) == (found, digest)
    assert difference(named("train_error"), sweep.resolved()) == []
    assert "train_error" not in json.dumps(stored.resolved())


def test_the_former_name_of_a_key_is_told_with_the_new_one(tmp_path: Path) -> None:
    mapping: dict[str, Any] = {"name": "x", "grid": {"gamma_sigma2": -1, "gamma_w": 1.5}}
    told = "was renamed to {}stop.excess_error, found {}; rename it"
    assert errors(mapping | {"stop": {"train_error": 0.1}}) == [f"sweep.toml: stop.train_error: {told.format('', 0.1)}"]
    assert errors(mapping | {"grid": mapping["grid"] | {"stop": {"train_error": [0.1]}}}) == [
        f"sweep.toml: grid.stop.train_error: {told.format('grid.', [0.1])}"
    ]
    with pytest.raises(ConfigError) as caught:
        parse_config(mapping, "sweep.toml", ["stop.train_error=0.1"])
    assert str(caught.value) == f"--set stop.train_error: {told.format('', 0.1)}"
    with pytest.raises(
        LinphaseError, match=r"^Converged: train_error was renamed to excess_error, found 0\.1; rename it$"
    ):
        Converged(train_error=0.1)  # type: ignore[call-arg]


def test_a_rule_of_ones_own_may_have_a_key_of_a_former_name() -> None:
    try:

        class Below(Stop, rule="below"):
            train_error: float = 0.1

        mapping = {"name": "x", "grid": {"gamma_sigma2": -1, "gamma_w": 1.5}, "stop": {"train_error": 0.3}}
        chosen = mapping | {"stop": {"rule": "below", "train_error": 0.3}}
        for stored in (False, True):
            below = parse_config(chosen, stored=stored)
            assert below.stop == Below(train_error=0.3)
            assert below.resolved()["stop"] == {"rule": "below", "train_error": 0.3}
        assert parse_config(mapping, stored=True).stop == Converged(excess_error=0.3)
    finally:
        forget(__name__)


def test_ids_and_specs_survive_pickling() -> None:
    spec = next(config({"task.rank": [3]}).expand())
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert pickle.loads(pickle.dumps(spec)).run_id == spec.run_id


# Columns and differences


@pytest.mark.parametrize("kind", ["flow", "gd"])
def test_the_columns_of_a_spec_are_all_that_repeat_a_key(kind: str) -> None:
    spec = next(config(dynamics={"kind": kind}).expand())
    expected = {column.name for column in runs_columns() if column.key} | {"run_id", "threshold"}
    assert asked_for(spec).keys() == expected
    others = {
        "flow": {"learning_rate_rule", "update", "max_steps", "label_noise"},
        "gd": {"tolerance", "max_evaluations", "stages"},
    }
    unused = others[kind]
    assert {name for name, value in asked_for(spec).items() if value is None} == unused | {
        "stop_time",
        "batch_size",
        "lambda_balance",
        "signal_norm",
        "output_dimension",
        "target",
        "signal",
        "data",
        "signal_decay",
        "samples",
        "capacity_exponent",
        "source_exponent",
    }


def test_every_axis_has_a_column() -> None:
    held = {column.key for column in runs_columns()}
    assert {f"grid.{key}" for key in ("gamma_sigma2", "init_variance", "gamma_w", "width", "replicates")} <= held
    for section in ("task", "dynamics", "stop"):
        assert {f"{section}.{name}" for name in fields_of(section, declared())} <= held
    assert "run.precision" in held


def differences(old: SweepConfig, new: SweepConfig) -> list[str]:
    return difference(old.resolved(), new.resolved())


def test_cells_replicates_and_a_name_can_be_added_to_a_directory() -> None:
    new = dataclasses.replace(config({"gamma_w": [1, 2, 3], "replicates": 4}), name="y")
    assert differences(config(), new) == []


def test_a_difference_is_told_with_both_values() -> None:
    old, new = config(task={"rank": 4}), config(task={"rank": 5, "signal_norm": 1}, run={"seed": 3})
    assert differences(old, new) == [
        "task.rank: 4 in the directory, 5 in the config",
        "task.signal_norm: not set in the directory, 1.0 in the config",
        "run.seed: 0 in the directory, 3 in the config",
    ]


def test_another_set_of_axes_is_a_difference() -> None:
    assert differences(config(), config({"task.rank": [4, 5]})) == [
        "grid.task.rank: no axis in the directory, one in the config"
    ]
    assert differences(config({"task.rank": [4, 5]}), config()) == [
        "grid.task.rank: an axis in the directory, none in the config"
    ]


def test_keys_that_are_not_used_are_no_difference() -> None:
    assert differences(config(dynamics={"tolerance": 0.1}), config(dynamics={"kind": "gd"})) == [
        'dynamics.kind: "flow" in the directory, "gd" in the config'
    ]
    both = config({"dynamics.kind": ["flow", "gd"]}, dynamics={"tolerance": 0.1})
    assert differences(both, config({"dynamics.kind": "gd"})) == []
    assert len(differences(both, config({"dynamics.kind": ["flow"]}))) == 1


def test_a_value_that_an_axis_replaces_is_no_difference() -> None:
    old, new = config({"task.rank": [1]}, task={"rank": 7}), config({"task.rank": [2]}, task={"rank": 9})
    assert differences(old, new) == []


@pytest.mark.parametrize("deep", [{"a": {}}, {"grid": []}])
def test_what_is_nested_deeply_is_one_message(tmp_path: Path, deep: dict[str, Any]) -> None:
    told = "tables and lists nested at most 8 deep are required, found more"
    ((key, inner),) = deep.items()
    for _ in range(3000):
        inner = {"a": inner} if isinstance(inner, dict) else [inner]
    with pytest.raises(ConfigError, match=f"^config: {told}$"):
        parse_config({"name": "x", key: inner})
    with pytest.raises(ConfigError, match=rf"sweep\.toml: {told}$"):
        load_config(write(tmp_path, "name = 'x'\na" + ".a" * 3000 + " = 1\n"))
    grid: dict[str, Any] = {"name": "x", "grid": {"gamma_sigma2": -1, "gamma_w": 1.5}}
    for override in ("a" + ".a" * 3000 + "=1", "grid.width=" + "[" * 300 + "]" * 300):
        with pytest.raises(ConfigError, match=f"^config: {told}$"):
            parse_config(grid, overrides=[override])
