"""What is declared outside the package, by one function and one class in a file, is like what is inside it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.config.config import load_config, parse_config
from linphase.config.plugins import activate, read_plugin
from linphase.dynamics.base import Dynamics
from linphase.dynamics.gradient_descent import GradientDescent
from linphase.errors import ConfigError, LinphaseError
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.moment import OBSERVABLES
from linphase.model.network import Initialization, gaussian_start
from linphase.runs.stopping import Stop, StopRule, WithinExcess
from linphase.runs.training import train
from linphase.store.results import load
from linphase.sweeps.sweeping import iter_sweep, sweep
from tests.store.parts import add_part

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "tests/data/outside.py"
CONFIG = """\
name = "outside"
plugins = ["outside.py"]
[task]
dimension = 8
rank = 2
[grid]
gamma_sigma2 = [-2.0, -1.0]
gamma_w = [1.0, 2.0]
"dynamics.momentum" = [0.0, 0.5]
[dynamics]
kind = "heavy_ball"
eta = 0.004
"""


def linphase(*arguments):
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(autouse=True)
def _declared_here():
    """Nothing of the plugin is left in this process."""
    yield
    activate(())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of a sweep with the plugin, by two workers, in another process; the plugin is not beside them."""
    path = tmp_path_factory.mktemp("outside")
    shutil.copy(PLUGIN, path)
    (path / "o.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "linphase", "sweep", "--config", "o.toml", "--jobs", "2", "--no-plot"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=path, env=environment, check=True, capture_output=True)
    moved = tmp_path_factory.mktemp("elsewhere") / "r"
    shutil.move(path / "results/outside", moved)
    return moved


def test_a_function_and_a_class_give_columns(results):
    runs = pd.concat(pd.read_parquet(part) for part in (results / "runs").glob("*.parquet"))
    assert len(runs) == 8
    assert set(runs["kind"]) == {"heavy_ball"}
    assert set(runs["momentum"]) == {0.0, 0.5}
    assert set(runs["plugin"]) == {read_plugin(PLUGIN).digest}
    assert (
        runs[["effective_rank", "effective_rank_at_min", "imbalance", "self_consistency_residual"]]
        .notna()
        .all(axis=None)
    )
    assert (runs["effective_rank_at_min"] < runs["effective_rank"]).mean() > 0.5


def test_an_outside_dynamics_is_measured_as_an_equal_inside_one():
    (plugin,) = load_config_of(PLUGIN).plugins
    activate([plugin])
    task = draw_task(TaskConfig(dimension=8, rank=2))
    start = Initialization.at(8, gamma_sigma2=-1.0, gamma_w=1.5)
    weights = gaussian_start(start, task.shape)
    inside = train(task, weights, GradientDescent(learning_rate=0.004), initialization=start)
    outside = train(task, weights, Dynamics.members["heavy_ball"](momentum=0.0, eta=0.004), initialization=start)
    assert outside.updates == inside.updates
    assert outside.regimes == inside.regimes
    for name, value in inside.observables.items():
        expected = value if value is None else pytest.approx(value, rel=1e-9)
        assert outside.observables[name] == expected, name


def load_config_of(plugin):
    grid = {"gamma_sigma2": -1.0, "gamma_w": 1.0}
    return parse_config({"name": "x", "plugins": [str(plugin)], "task": {"dimension": 8, "rank": 2}, "grid": grid})


def test_readers_need_no_plugin(results, tmp_path):
    assert "heavy_ball" not in Dynamics.members
    assert json.loads(linphase("status", results, "--json"))["missing"] == 0
    linphase("export", results, "-o", tmp_path / "runs.csv")
    assert {"effective_rank", "momentum", "eta"} <= set(pd.read_csv(tmp_path / "runs.csv"))
    linphase("report", results, "-o", tmp_path / "r.md", "--panel", "effective-rank")
    linphase("explore", results, "-o", tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert all(word in page for word in ("effective-rank", "exp of the entropy", "heavy_ball"))
    for panel in ("effective-rank", "effective-rank-at-min", "steps"):
        linphase("plot", results, "--panel", panel, "-o", tmp_path / f"{panel}.svg")
    # Theory has no momentum: all facets are set against the same prediction.
    linphase("plot", results, "--panel", "test-error", "--against", "theory", "-o", tmp_path / "against.png")
    assert "effective rank" in (tmp_path / "effective-rank.svg").read_text()
    assert "steps to convergence" in (tmp_path / "steps.svg").read_text()
    assert "effective_rank" not in OBSERVABLES


def test_a_key_that_was_renamed_keeps_the_ids_of_a_rule_that_inherits_it_for_readers_too(tmp_path):
    rule = "from linphase.runs.stopping import Converged\n\n\nclass Close(Converged, rule='close'):\n    pass\n"
    (tmp_path / "close.py").write_text(rule)
    grid = {"gamma_sigma2": -1.0, "gamma_w": 1.0}
    stop = {"rule": "close", "excess_error": 1e-5}
    config = parse_config({"name": "x", "plugins": [str(tmp_path / "close.py")], "grid": grid, "stop": stop})
    (spec,) = config.expand()
    assert spec.canonical()["stop"] == {"rule": "close", "train_error": 1e-5}
    activate(())
    (read,) = parse_config(json.loads(json.dumps(config.resolved())), stored=True).expand()
    assert read.run_id == spec.run_id


def test_folding_keeps_columns_that_nobody_declares_here(results, tmp_path):
    shutil.copytree(results, tmp_path / "r")
    before = load(tmp_path / "r").runs
    (part,) = (tmp_path / "r/runs").glob("*.parquet")
    rows = pd.read_parquet(part)
    write_split(part, rows)
    linphase("compact", tmp_path / "r")
    assert len(list((tmp_path / "r/runs").glob("*.parquet"))) == 1
    after = load(tmp_path / "r")
    pd.testing.assert_frame_equal(after.runs, before, check_exact=True)
    assert after.columns["effective_rank"].panel == "effective-rank"
    assert linphase("check", tmp_path / "r")


def write_split(part, rows):
    """The same rows in two parts."""
    table = pq.read_table(part)
    half = len(rows) // 2
    for piece in (table.slice(0, half), table.slice(half)):
        add_part(part.parent, piece)
    part.unlink()


def test_theory_predicts_an_outside_observable(results, tmp_path):
    shutil.copy(PLUGIN, tmp_path)
    (tmp_path / "o.toml").write_text(CONFIG)
    linphase("theory", "--config", tmp_path / "o.toml", "--out", tmp_path / "t", "--no-plot")
    predicted = load(tmp_path / "t").runs
    assert predicted["effective_rank"].notna().all()
    assert predicted["imbalance"].isna().all()
    assert predicted["effective_rank"].median() == pytest.approx(load(results).runs["effective_rank"].median(), rel=0.2)


def test_fill_trains_again_under_the_same_ids_what_lacks_an_observable(tmp_path):
    plain = CONFIG.replace('plugins = ["outside.py"]\n', "").replace('"dynamics.momentum" = [0.0, 0.5]\n', "")
    plain = plain.replace('kind = "heavy_ball"\neta = 0.004', 'kind = "flow"')
    (tmp_path / "plain.toml").write_text(plain)
    before = sweep(load_config(tmp_path / "plain.toml"), tmp_path / "r").runs
    shutil.copy(PLUGIN, tmp_path)
    (tmp_path / "more.toml").write_text(plain.replace("[task]", 'plugins = ["outside.py"]\n[task]'))
    config = load_config(tmp_path / "more.toml")
    assert list(iter_sweep(config, tmp_path / "r")) == []
    assert load(tmp_path / "r").runs["effective_rank"].isna().all()
    filled = sweep(config, tmp_path / "r", fill=True).runs
    assert filled["effective_rank"].notna().all()
    same = [name for name in before if name not in ("elapsed_s", "observables")]
    pd.testing.assert_frame_equal(filled[same], before[same], check_exact=True)
    assert list(iter_sweep(config, tmp_path / "r", fill=True)) == []
    assert "0 copies" not in linphase("check", tmp_path / "r")
    assert linphase("check", tmp_path / "r").count("copies") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_this_name\n", r"outside.py:1 cannot be imported: ModuleNotFoundError: No module named"),
        ("x = 1\n1/0\n", "outside.py:2 cannot be imported: ZeroDivisionError: division by zero"),
        ("def f(:\n", "outside.py:1 cannot be imported: SyntaxError"),
        ("import linphase\n@linphase.observable('x', panel='p', title='t')\ndef rank(moment): return 1\n",
         "observable 'rank': a name of its own is required"),
        ("import linphase\n@linphase.observable('x', panel='p', title='t', at=('now',))\ndef f(moment): return 1\n",
         "at must be some of end, minimum, largest, crossing, snapshots, found 'now'"),
        ("import linphase\nclass F(linphase.Dynamics, kind='flow'):\n    def states(self, *_): ...\n",
         "dynamics 'flow': a name of its own"),
        ("import linphase\nclass F(linphase.Dynamics, kind='f'):\n    tolerance: int = 3\n"
         "    def states(self, *_): ...\n",
         "its key tolerance must be what it is in linphase.dynamics.gradient_flow:GradientFlow, a number above 0"),
    ],
)  # fmt: skip
def test_a_plugin_that_cannot_be_imported_is_one_message_and_nothing_is_written(tmp_path, text, message):
    (tmp_path / "outside.py").write_text(text)
    (tmp_path / "o.toml").write_text(CONFIG)
    done = CliRunner().invoke(main, ["sweep", "--config", str(tmp_path / "o.toml"), "--out", str(tmp_path / "r")])
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "r").exists()
    assert "f" not in OBSERVABLES


@pytest.mark.parametrize("plugins", ["outside.py", [1], ["missing.py"], ["a-b.py"], ["o.toml"]])
def test_what_is_no_plugin_is_refused(tmp_path, plugins):
    (tmp_path / "o.toml").write_text(CONFIG.replace('["outside.py"]', json.dumps(plugins)))
    with pytest.raises(ConfigError, match="plugins: "):
        load_config(tmp_path / "o.toml")


def test_what_is_declared_or_measured_wrongly_is_told(monkeypatch):
    with pytest.raises(LinphaseError, match="'nothing': a method `states` is required, found none"):
        type("Nothing", (Dynamics,), {}, kind="nothing")
    with pytest.raises(LinphaseError, match="'stepless': a method `rate` is required where fixed_step is True"):
        type("Stepless", (Dynamics,), {"fixed_step": True, "states": lambda *_: iter(())}, kind="stepless")
    assert not {"nothing", "stepless"} & set(Dynamics.members)
    task = draw_task(TaskConfig(dimension=6, rank=1))
    start = Initialization.at(6, gamma_sigma2=-1.0, gamma_w=1.0)
    weights = gaussian_start(start, task.shape)
    one = replace(OBSERVABLES["stable_rank"], measure=lambda moment: [1.0])
    with monkeypatch.context() as patch:
        patch.setitem(OBSERVABLES, "stable_rank", one)
        with pytest.raises(LinphaseError, match=r"a number or None is required, found \[1\.0\]"):
            train(task, weights, initialization=start)
    monkeypatch.setattr(WithinExcess, "status", lambda *_: "happy")
    with pytest.raises(LinphaseError, match=r"a status is required, one of converged, .* found 'happy'"):
        train(task, weights, initialization=start)


@pytest.mark.parametrize(
    ("states", "found"),
    [("return None", "found that it returns None"), ("yield weights.W1", r"found array\(")],
)
def test_a_dynamics_that_yields_no_states_is_told(states, found):
    namespace = {}
    exec(f"def states(self, task, weights, initialization):\n    {states}", namespace)
    stateless = type("Stateless", (Dynamics,), {"states": namespace["states"], "__module__": "elsewhere"})
    stateless.kind = "stateless"
    start = Initialization.at(6, gamma_sigma2=-1.0, gamma_w=1.0)
    task = draw_task(TaskConfig(dimension=6, rank=1))
    with pytest.raises(LinphaseError, match=f"'stateless': `states` must yield values of linphase.State, {found}"):
        train(task, gaussian_start(start, task.shape), stateless(), initialization=start)


class _Rule(StopRule):
    """A stop rule as a plugin may write it."""

    def __init__(self, status):
        self.status = status


def with_rule(rule, dtype=np.float64, gamma_sigma2=-1.0):
    start = Initialization.at(16, gamma_sigma2=gamma_sigma2, gamma_w=1.5)
    task = draw_task(TaskConfig(dimension=16, rank=1))
    stop = type("Own", (Stop,), {"begin": lambda self, task, floor: rule, "__module__": "elsewhere"})
    stop.rule = "own"
    return train(task, gaussian_start(start, task.shape).astype(dtype), stop=stop(), initialization=start)


def test_a_stop_rule_that_is_none_or_lacks_its_method_is_told():
    with pytest.raises(LinphaseError, match=r"'own': `begin` must return a linphase.StopRule, found <function"):
        with_rule(lambda measured: None)
    with pytest.raises(LinphaseError, match="StopRule: a method `status` is required"):
        with_rule(StopRule())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_stop_rule_with_two_reasons_ends_within_the_step_only_for_its_train_error(dtype):
    seen = []

    def flat(measured):
        seen.append(measured.train_error)
        still = len(seen) > 5 and seen[-6] / measured.train_error - 1 < 0.01
        return "converged" if measured.train_error <= 0.1 else "stopped_early" if still else None

    rule = _Rule(flat)
    rule.ends_at = 0.1
    early = with_rule(rule, dtype, gamma_sigma2=-6.0)  # at the saddle
    assert (early.status, early.train_error) == ("stopped_early", seen[-1])
    seen.clear()
    run = with_rule(rule, dtype)
    assert run.status == "converged"
    assert run.train_error == pytest.approx(0.1, rel=1e-5)


KEYS = """
import linphase
class Still(linphase.Dynamics, kind="still"):
    rank: int = 3
    patience: int = 4
    def states(self, task, weights, initialization):
        yield linphase.State(0.0, 0, 1, weights, weights.product() - task.target)
class AtOnce(linphase.Stop, rule="at_once"):
    patience: int = 5
    def begin(self, task, floor):
        return First()
class First(linphase.StopRule):
    def status(self, measured):
        return "stopped_early"
"""


def test_a_key_whose_column_is_taken_is_stored_with_its_section(tmp_path):
    (tmp_path / "keys.py").write_text(KEYS)
    config = parse_config({
        "name": "x", "plugins": [str(tmp_path / "keys.py")], "task": {"dimension": 6, "rank": 1},
        "grid": {"gamma_sigma2": -1.0, "gamma_w": [1.0, 2.0], "stop.patience": [5, 6]},
        "dynamics": {"kind": "still"}, "stop": {"rule": "at_once"},
    })  # fmt: skip
    results = sweep(config, tmp_path / "r")
    assert set(results.runs["status"]) == {"stopped_early"}
    for column, values in {"rank": {1}, "dynamics_rank": {3}, "patience": {4}, "stop_patience": {5, 6}}.items():
        assert set(results.runs[column]) == values
    linphase("plot", tmp_path / "r", "-o", tmp_path / "p.png")


def test_a_panel_of_a_column_that_is_stored_nowhere_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "wrong.py").write_text("import linphase\nlinphase.panel('steps', column='final_stp', title='steps')\n")
    config = parse_config(
        {"name": "x", "plugins": [str(tmp_path / "wrong.py")], "grid": {"gamma_sigma2": -1.0, "gamma_w": 1.0}}
    )
    told = r"'steps' \(linphase_plugin_wrong:steps\): column must be one of the runs table, found 'final_stp'; did you "
    with pytest.raises(LinphaseError, match=f"{told}mean final_step"):
        sweep(config, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_notebooks_own_class_trains_but_does_not_sweep(tmp_path):
    from linphase.model.registry import forget

    class Still(Dynamics, kind="still"):
        def states(self, task, weights, initialization):
            from linphase.dynamics.base import State

            yield State(0.0, 0, 1, weights, weights.product() - task.target)

    try:
        task = draw_task(TaskConfig(dimension=6, rank=1))
        start = Initialization.at(6, gamma_sigma2=-1.0, gamma_w=1.0)
        assert train(task, gaussian_start(start, task.shape), Still(), initialization=start).status == "step_limit"
        grid = {"gamma_sigma2": -1.0, "gamma_w": 1.0}
        config = parse_config({"name": "x", "grid": grid, "dynamics": {"kind": "still"}})
        with pytest.raises(ConfigError, match=r"Put them into a file of their own and name it: plugins = \["):
            sweep(config, tmp_path / "r")
        assert not (tmp_path / "r").exists()
    finally:
        forget(__name__)


def test_another_version_of_a_plugin_replaces_the_first_and_results_of_it_warn(tmp_path):
    shutil.copy(PLUGIN, tmp_path)
    text = CONFIG.replace("gamma_sigma2 = [-2.0, -1.0]", "gamma_sigma2 = -1.0").replace(" = [0.0, 0.5]", " = 0.0")
    (tmp_path / "o.toml").write_text(text)
    first = sweep(load_config(tmp_path / "o.toml"), tmp_path / "r")
    file = tmp_path / "outside.py"
    file.write_text(file.read_text().replace('"""V <- momentum', '"""A mended docstring: V <- momentum'))
    with pytest.warns(UserWarning, match="raise `version` in its class"):
        again = sweep(load_config(tmp_path / "o.toml"), tmp_path / "r")
    assert list(again.runs["run_id"]) == list(first.runs["run_id"])  # a docstring trains nothing again
    file.write_text(file.read_text().replace("    momentum: float", "    version = 2\n    momentum: float"))
    raised = load_config(tmp_path / "o.toml")
    assert not {spec.run_id for spec in raised.expand()} & set(first.runs["run_id"])


def test_crossings_snapshots_and_the_largest_are_measured_over_time(tmp_path):
    (tmp_path / "size.py").write_text(
        "import numpy as np\nimport linphase\n"
        "@linphase.observable('||A||_F', panel='size', title='size', at=('largest', 'crossing', 'snapshots'))\n"
        "def size(moment):\n    return float(np.linalg.norm(moment.A))\n"
    )
    grid = {"gamma_sigma2": -2.0, "gamma_w": [1.5, 2.0], "dynamics.kind": ["flow", "modes"]}
    task = {"dimension": 12, "rank": 2}
    config = parse_config({"name": "x", "plugins": [str(tmp_path / "size.py")], "task": task, "grid": grid})
    results = sweep(config, tmp_path / "r")
    for _, run in results.runs.iterrows():
        one = results.trajectory(run["run_id"])
        size = np.sqrt(np.sum(one.singular_values**2, axis=1))
        np.testing.assert_allclose(one.observables["size"], size, rtol=1e-5)
        assert run["largest_size"] == pytest.approx(size.max(), rel=1e-6)
        at = np.interp(one.mode_times.crossing, one.time, size)
        np.testing.assert_allclose(one.observables["size_at_crossing"], at, rtol=1e-4)
