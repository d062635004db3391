"""Targets and data of one's own: what a file must hold, and what a run's id depends on."""

import io
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from linphase.config.config import load_config, parse_config
from linphase.errors import ConfigError
from linphase.model import arrays
from linphase.model.draws import draw_task
from linphase.model.task import Regression, Task
from tests.processes import ENVIRONMENT

RNG = np.random.default_rng(0)
TARGET, SIGNAL = RNG.standard_normal((5, 7)), RNG.standard_normal((5, 2)) @ RNG.standard_normal((2, 7))
X, Y = RNG.standard_normal((12, 6)), RNG.standard_normal((12, 3))
GRID = """
[grid]
gamma_sigma2 = [-2.0, 0.0]
gamma_w = [1.5]
"""


def saved(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, array in files.items():
        np.save(folder / f"{name}.npy", array)


def loaded(folder, task="", data="", grid="", rest=""):
    """The sweep of a file whose tables [task] and [data] are these."""
    tables = "".join(f"[{name}]\n{text}\n" for name, text in (("task", task), ("data", data)) if text)
    (folder / "own.toml").write_text(f'name = "own"\n{tables}{GRID}{grid}\n{rest}')
    return load_config(folder / "own.toml")


def of_target(folder, keys='target = "Y.npy"', **others):
    return loaded(folder, keys, **others)


def of_data(folder, keys='inputs = "X.npy"\noutputs = "Y.npy"', **others):
    return loaded(folder, others.pop("task", ""), keys, **others)


def ids(config):
    return [spec.run_id for spec in config.expand()]


# ------------------------------------------------------------------------------------------------- what it makes


def test_a_target_of_a_file_is_the_task_of_its_array(tmp_path):
    saved(tmp_path, Y=TARGET, A=SIGNAL)
    for keys, made in (
        ('target = "Y.npy"', Task.from_target(TARGET)),
        ('target = "Y.npy"\nrank = 2', Task.from_target(TARGET, rank=2)),
        ('target = "Y.npy"\nsignal = "A.npy"', Task.from_target(TARGET, SIGNAL)),
        ('target = "Y.npy"\nsignal = "A.npy"\nrank = 1', Task.from_target(TARGET, SIGNAL, rank=1)),
    ):
        config = of_target(tmp_path, keys)
        task = draw_task(config.task)
        np.testing.assert_array_equal(task.target, TARGET)
        assert (task.rank, task.has_test_error) == (made.rank, made.has_test_error)
        assert task.noise == pytest.approx(made.noise, rel=1e-12)  # 13 digits are kept
        assert config.task.shape == (5, 7)
        assert ids(config) == ids(config.of_task(made))
        assert ids(parse_config(config.resolved())) == ids(config)


def test_data_of_files_are_the_task_of_their_arrays(tmp_path):
    saved(tmp_path, X=X, Y=Y, U=X[:4] + 1, V=Y[:4])
    files = 'inputs = "X.npy"\noutputs = "Y.npy"'
    held = '\ntest_inputs = "U.npy"\ntest_outputs = "V.npy"'
    for keys, made in (
        (files, Task.from_data(X, Y)),
        (files + held, Task.from_data(X, Y, X[:4] + 1, Y[:4])),
        (
            files + held + "\ncenter = true\nwhiten = true",
            Task.from_data(X, Y, X[:4] + 1, Y[:4], center=True, whiten=True),
        ),
    ):
        config = of_data(tmp_path, keys)
        task = draw_task(config.task)
        assert isinstance(task, Regression)
        assert task.told().keys() == made.told().keys()
        for name, array in made.told().items():
            np.testing.assert_allclose(task.told()[name], array, atol=1e-14)
        assert config.task.shape == (3, 6)
        assert ids(parse_config(config.resolved())) == ids(config)
    assert draw_task(of_data(tmp_path, task="rank = 2").task).rank == 2


def test_samples_are_read_a_chunk_at_a_time(tmp_path, monkeypatch):
    saved(tmp_path, X=X, Y=Y)
    whole = draw_task(of_data(tmp_path, 'inputs = "X.npy"\noutputs = "Y.npy"\ncenter = true').task)
    monkeypatch.setattr("linphase.config.own._ENTRIES", 3 * 9)  # 3 samples
    cut = draw_task(of_data(tmp_path, 'inputs = "X.npy"\noutputs = "Y.npy"\ncenter = true').task)
    for array in (whole, cut):
        Sigma = array.inputs.T @ array.inputs
        np.testing.assert_allclose(Sigma, np.cov(X.T, bias=True), atol=1e-13)
    assert cut.irreducible == pytest.approx(whole.irreducible, rel=1e-12)


def test_the_rank_may_be_an_axis_where_the_noise_does_not_hang_on_it(tmp_path):
    saved(tmp_path, Y=TARGET, A=SIGNAL, X=X, Z=Y)
    config = of_target(tmp_path, 'target = "Y.npy"\nsignal = "A.npy"', grid='"task.rank" = [1, 3]')
    assert [spec.task.rank for spec in config.expand()] == [1, 1, 3, 3]
    (noise,) = {draw_task(spec.task).noise for spec in config.expand()}
    assert noise == pytest.approx(Task.from_target(TARGET, SIGNAL).noise, rel=1e-12)
    for load in (of_target, lambda *_, **others: of_data(tmp_path, 'inputs = "X.npy"\noutputs = "Z.npy"', **others)):
        with pytest.raises(ConfigError, match=r"grid.task.rank: must be no axis of a task without a signal"):
            load(tmp_path, grid='"task.rank" = [1, 3]')


# ------------------------------------------------------------------------------------------------------- the ids


def test_the_ids_are_those_of_the_array_wherever_its_file_lies(tmp_path):
    saved(tmp_path, Y=TARGET)
    saved(tmp_path / "other", Y=TARGET)
    expected = ids(of_target(tmp_path))
    assert ids(of_target(tmp_path / "other")) == expected
    shutil.move(tmp_path / "Y.npy", tmp_path / "Z.npy")
    assert ids(of_target(tmp_path, 'target = "Z.npy"')) == expected
    assert ids(of_target(tmp_path, f'target = "{tmp_path / "Z.npy"}"')) == expected


def test_a_file_that_changes_later_changes_nothing_that_was_read(tmp_path):
    saved(tmp_path, Y=TARGET)
    config = of_target(tmp_path)
    with (tmp_path / "Y.npy").open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(np.float64(7.0).tobytes())
    np.testing.assert_array_equal(draw_task(config.task).target, TARGET)
    (tmp_path / "Y.npy").write_bytes(b"")
    np.testing.assert_array_equal(draw_task(config.task).target, TARGET)
    mine = TARGET.copy()
    own = config.of_task(Task.from_target(mine))
    mine[0, 0] = 7
    np.testing.assert_array_equal(draw_task(own.task).target, TARGET)


def test_the_order_in_memory_is_no_part_of_an_array(tmp_path):
    saved(tmp_path, Y=TARGET, X=X)
    expected = ids(of_target(tmp_path)), arrays.digest(X)
    saved(tmp_path, Y=np.asfortranarray(TARGET), X=np.asfortranarray(X))
    loaded_back = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert loaded_back.flags.f_contiguous
    assert (ids(of_target(tmp_path)), arrays.digest(loaded_back)) == expected


def one_bit(array):
    changed = array.copy()
    changed.view(np.uint64)[2, 1] ^= 1
    return changed


@pytest.mark.parametrize(
    "change", [np.transpose, lambda Y: Y.astype(np.float32), one_bit, lambda Y: Y.reshape(7, 5), lambda Y: Y[:4]]
)
def test_the_ids_of_another_array_are_others(tmp_path, change):
    saved(tmp_path, Y=TARGET)
    before = ids(of_target(tmp_path))
    saved(tmp_path, Y=change(TARGET))
    assert not set(before) & set(ids(of_target(tmp_path)))


def test_the_ids_of_data_are_of_all_files_and_options(tmp_path):
    saved(tmp_path, X=X, Y=Y, U=X, V=Y)
    both = 'inputs = "X.npy"\noutputs = "Y.npy"'
    held = '\ntest_inputs = "U.npy"\ntest_outputs = "V.npy"'
    found = [ids(of_data(tmp_path, both + more)) for more in ("", held, "\ncenter = true", "\nwhiten = true")]
    found.append(ids(of_data(tmp_path, both, task="rank = 1")))
    for file, array in (("X", X), ("Y", Y), ("U", X), ("V", Y)):
        saved(tmp_path, **{file: one_bit(array)})
        found.append(ids(of_data(tmp_path, both + held)))
        saved(tmp_path, **{file: array})
    assert len({run_id for each in found for run_id in each}) == 2 * len(found)
    assert ids(of_data(tmp_path, both)) == found[0]


def test_a_signal_and_a_rank_are_in_the_ids_and_what_follows_from_the_target_is_not(tmp_path):
    saved(tmp_path, Y=TARGET, A=SIGNAL, B=2 * SIGNAL)
    found = [ids(of_target(tmp_path, f'target = "Y.npy"\n{more}'))[0]
             for more in ("", "rank = 1", "rank = 2", 'signal = "A.npy"', 'signal = "B.npy"')]  # fmt: skip
    assert len(set(found)) == 5
    used = of_target(tmp_path).task.used()
    assert set(used) <= {"target", "rank", "signal", "data"}


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "i4", "u1", "?"])
def test_numbers_of_every_type_are_a_target(tmp_path, dtype):
    numbers = np.abs(3 * TARGET).astype(int).astype(dtype)
    saved(tmp_path, Y=numbers)
    task = draw_task(of_target(tmp_path, 'target = "Y.npy"\nrank = 1').task)
    np.testing.assert_array_equal(task.target, numbers)
    assert task.noise > 0


# ------------------------------------------------------------------------------------------------------ refusals


def garbage(kind):
    """The bytes of a file that is no array of numbers."""
    file = io.BytesIO()
    np.save(file, TARGET)
    whole = file.getvalue()
    if kind == "empty":
        return b""
    if kind == "truncated":
        return whole[:-8]
    if kind == "header cut":
        return whole[:40]
    if kind == "header bent":
        return whole[:10] + b"((" + whole[12:]
    if kind == "pickle":
        return pickle.dumps(TARGET)
    if kind == "zip cut":
        file = io.BytesIO()
        np.savez(file, Y=TARGET)
        return file.getvalue()[:200]
    if kind == "zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.txt", "text")
        return file.getvalue()
    return b"1.0, 2.0\n3.0, 4.0\n"


class Unpickled:
    """To be read as an object is to leave a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize(
    "kind", ["empty", "truncated", "header cut", "header bent", "pickle", "zip cut", "zip", "text"]
)
@pytest.mark.parametrize("key", ["task.target", "task.signal", "data.inputs", "data.test_outputs"])
def test_a_file_of_something_else_is_one_clear_error(tmp_path, kind, key):
    saved(tmp_path, Y=Y, X=X, T=TARGET)
    (tmp_path / "bad.npy").write_bytes(garbage(kind))
    with pytest.raises(ConfigError) as caught:
        _with(tmp_path, key, '"bad.npy"')
    (line,) = str(caught.value).splitlines()
    assert re.search(rf"own.toml: {key}: must be .*found .*bad\.npy", line)


def _with(folder, key, value):
    """A configuration that is right but for one key, among files Y, X and T that are whole."""
    good = {
        "task.target": '"T.npy"', "task.signal": None, "data.inputs": '"X.npy"', "data.outputs": '"Y.npy"',
        "data.test_inputs": '"X.npy"', "data.test_outputs": '"Y.npy"',
    }  # fmt: skip
    table = key.partition(".")[0]
    keys = {name: text for name, text in {**good, key: value}.items() if text and name.startswith(table)}
    text = "\n".join(f"{name.partition('.')[2]} = {value}" for name, value in keys.items())
    return loaded(folder, **{table: text})


@pytest.mark.parametrize(("array", "told"), [
    (np.where(TARGET > 1, np.nan, TARGET), "NaN or infinity"),
    (np.where(TARGET > 1, np.inf, TARGET), "NaN or infinity"),
    (TARGET.astype(str), "the type <U32"),
    (TARGET + 0j, "the type complex128"),
    (np.zeros((2, 3), "datetime64[s]"), r"the type datetime64\[s\]"),
    (TARGET[0], r"an array of shape \(7,\)"),
    (TARGET[None], r"an array of shape \(1, 5, 7\)"),
    (np.float64(1.0), r"an array of shape \(\)"),
    (TARGET[:0], r"an array of shape \(0, 7\)"),
    (TARGET[:, :0], r"an array of shape \(5, 0\)"),
])  # fmt: skip
@pytest.mark.parametrize("key", ["task.target", "data.inputs", "data.outputs"])
def test_an_array_of_something_else_is_told(tmp_path, array, told, key):
    saved(tmp_path, Y=Y, X=X, T=TARGET, bad=array)
    with pytest.raises(ConfigError) as caught:
        _with(tmp_path, key, '"bad.npy"')
    (line,) = str(caught.value).splitlines()
    assert re.search(rf"{key}: must be a two-dimensional array of finite numbers, found {told} in .*bad\.npy", line)


def test_objects_are_never_unpickled(tmp_path):
    saved(tmp_path, Y=Y, X=X, T=TARGET)
    objects = np.array([[Unpickled(str(tmp_path / "mark")), 1.0]], dtype=object)
    np.save(tmp_path / "bad.npy", objects, allow_pickle=True)
    for key in ("task.target", "task.signal", "data.inputs", "data.outputs"):
        with pytest.raises(ConfigError, match=rf"{key}: must be a file of numpy, found .*bad\.npy, which holds no"):
            _with(tmp_path, key, '"bad.npy"')
    np.savez(tmp_path / "bad.npz", objects)
    with pytest.raises(ConfigError, match=r"found .*bad\.npz, which holds no array"):
        _with(tmp_path, "task.target", '"bad.npz"')
    assert not (tmp_path / "mark").exists()


def test_what_is_no_file_is_told(tmp_path):
    saved(tmp_path, Y=Y, X=X, T=TARGET)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for value, told in (
        ('"absent.npy"', "must be a file of numpy, found none at .*absent.npy"),
        ('"folder"', "must be a file of numpy, found something else at .*folder"),
        ('"pipe"', "must be a file of numpy, found something else at .*pipe"),
        ('""', "must be a file of numpy"),
        ("3", 'must be a file of numpy, such as "Y.npy", found 3'),
        ("true", 'must be a file of numpy, such as "Y.npy", found true'),
        ('["Y.npy"]', 'must be a file of numpy, such as "Y.npy", found'),
        (f'"{"y" * 300}.npy"', "must be a file of numpy"),
        (r'"a\u0000b.npy"', "must be a file of numpy"),
    ):
        for key in ("task.target", "data.inputs"):
            with pytest.raises(ConfigError, match=f"{key}: {told}"):
                _with(tmp_path, key, value)


@pytest.mark.parametrize(("files", "keys", "told"), [
    ({"Y": TARGET[:, :1]}, 'target = "Y.npy"', r"task.target: must be a matrix \(d_out, d_in\) of at most 20000 a "
     r"side and at least 2 columns, found the shape \(5, 1\)"),
    ({"Y": 0 * TARGET}, 'target = "Y.npy"', "task.target: must be other than 0, found only zeros"),
    ({"Y": TARGET, "A": 0 * TARGET}, 'target = "Y.npy"\nsignal = "A.npy"', "task.signal: must be other than 0, found "
     "only zeros"),
    ({"Y": TARGET, "A": TARGET.T}, 'target = "Y.npy"\nsignal = "A.npy"', "task.signal: signal and target must be "
     r"matrices of one shape \(d_out, d_in\), found \(7, 5\) and \(5, 7\)"),
    ({"A": SIGNAL}, 'signal = "A.npy"', 'task.signal: must stand beside task.target, found "A.npy" alone'),
    ({"Y": TARGET}, 'target = "Y.npy"\nrank = 6', "task.rank: must be from 1 to the smaller dimension, 5"),
    ({"Y": TARGET}, 'target = "Y.npy"\nrank = 0', "task.rank: must be at least 1, or not given, found 0"),
    ({"Y": TARGET}, 'target = "Y.npy"\nrank = true', "task.rank: must be an integer, found True"),
    ({"Y": TARGET}, 'target = "Y.npy"\nrank = "two"', "task.rank: must be an integer, found 'two'"),
    ({"Y": TARGET}, 'target = "Y.npy"\nnoise = 1.0', "task.noise: must not be given beside task.target, "
     "found 1.0"),
    ({"Y": TARGET}, 'target = "Y.npy"\ndimension = 7', "task.dimension: must not be given beside task.target"),
    ({"Y": TARGET}, 'target = "Y.npy"\nsignal_norm = 1.0', "task.signal_norm: must not be given beside task.target"),
    ({"Y": TARGET}, 'target = "Y.npy"\nsamples = 5', "task.samples: must not be given beside task.target"),
    ({"Y": TARGET}, 'target = "Y.npy"\ntarge = 5', "task.targe: is not a key"),
])  # fmt: skip
def test_what_does_not_fit_beside_a_target_is_told(tmp_path, files, keys, told):
    saved(tmp_path, **files)
    with pytest.raises(ConfigError, match=told) as caught:
        of_target(tmp_path, keys)
    assert len(str(caught.value).splitlines()) == 1


BOTH = 'inputs = "X.npy"\noutputs = "Y.npy"\n'


@pytest.mark.parametrize(("files", "keys", "told"), [
    ({"Y": Y[:5]}, BOTH, "data.outputs: must have as many samples as data.inputs, 12, found 5"),
    ({}, 'inputs = "X.npy"', 'data.outputs: must be a file of numpy, such as "X.npy", found none'),
    ({}, 'outputs = "Y.npy"', 'data.inputs: must be a file of numpy, such as "X.npy", found none'),
    ({}, BOTH + 'test_inputs = "X.npy"', "data.test_outputs: must be a file of numpy"),
    ({}, BOTH + 'test_outputs = "Y.npy"', "data.test_inputs: must be a file of numpy"),
    ({"U": X[:, :4]}, BOTH + 'test_inputs = "U.npy"\ntest_outputs = "Y.npy"', "data.test_inputs: must have the columns "
     "of data.inputs, 6, found 4"),
    ({"U": Y[:, :2]}, BOTH + 'test_inputs = "X.npy"\ntest_outputs = "U.npy"', "data.test_outputs: must have the "
     "columns of data.outputs, 3, found 2"),
    ({"U": Y[:4]}, BOTH + 'test_inputs = "X.npy"\ntest_outputs = "U.npy"', "data.test_outputs: must have as many "
     "samples as data.test_inputs, 12, found 4"),
    ({"X": X[:, :1]}, BOTH, r"data.inputs: must have 2 to 20000 columns, found the shape \(12, 1\)"),
    ({"Y": 0 * Y}, BOTH, "data.outputs: must be other than 0, found only zeros"),
    ({"X": 0 * X}, BOTH, "data.inputs: inputs that tell something of the outputs are required, found none"),
    ({"X": np.ones_like(X)}, BOTH + "center = true", "data.inputs: inputs that tell something of the outputs"),
    ({"Y": np.ones_like(Y)}, BOTH + "center = true", "data.inputs: inputs that tell something of the outputs"),
    ({"X": np.c_[X[:, 1:], np.ones(12)]}, BOTH + "center = true\nwhiten = true", "data.whiten: inputs that vary in all "
     "6 directions are required to whiten them, found 5: some features are constant, or sums of others"),
    ({"X": X[:1], "Y": Y[:1]}, BOTH + "center = true", "data.inputs: inputs that tell something of the outputs"),
    ({}, BOTH + 'center = "yes"', 'data.center: must be true or false, found "yes"'),
    ({}, BOTH + "whiten = 1", "data.whiten: must be true or false, found 1"),
    ({}, BOTH + "centre = true", "data.centre: is not a key, found true; .*center"),
])  # fmt: skip
def test_what_does_not_fit_in_data_is_told(tmp_path, files, keys, told):
    saved(tmp_path, **{"X": X, "Y": Y, **files})
    with pytest.raises(ConfigError, match=told) as caught:
        of_data(tmp_path, keys)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("task", "told"), [
    ("rank = 4", "task.rank: must be from 1 to the smaller dimension, 3, found 4"),
    ("rank = 0", "task.rank: must be at least 1, or not given, found 0"),
    ("rank = true", "task.rank: must be an integer, found True"),
    ("noise = 1.0", r"task.noise: must not be given beside \[data\], found 1.0"),
    ("dimension = 6", r"task.dimension: must not be given beside \[data\]"),
    ("signal_norm = 1.0", r"task.signal_norm: must not be given beside \[data\]"),
    ('target = "Y.npy"', r"task.target: must not be given beside \[data\]"),
    ('signal = "Y.npy"', r"task.signal: must not be given beside \[data\]"),
    ("input_decay = 1.0", r"task.input_decay: must not be given beside \[data\]"),
])  # fmt: skip
def test_what_does_not_fit_beside_data_is_told(tmp_path, task, told):
    saved(tmp_path, X=X, Y=Y)
    with pytest.raises(ConfigError, match=told) as caught:
        of_data(tmp_path, BOTH, task=task)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["noise", "dimension", "signal_norm", "output_dimension", "samples", "target", "data"])
def test_what_an_array_tells_is_no_axis(tmp_path, name):
    saved(tmp_path, X=X, Y=Y)
    values = '["a.npy", "b.npy"]' if name in ("target", "data") else "[4, 8]"
    for told, load in ((r"task.target", of_target), (r"\[data\]", of_data)):
        with pytest.raises(ConfigError, match=f"grid.task.{name}: .*{told}"):
            load(tmp_path, grid=f'"task.{name}" = {values}')


def test_a_rank_axis_beyond_the_shape_is_refused(tmp_path):
    saved(tmp_path, Y=TARGET, A=SIGNAL)
    with pytest.raises(ConfigError, match=r"grid.task.rank: must be at most .* = 5, found 6"):
        of_target(tmp_path, 'target = "Y.npy"\nsignal = "A.npy"', grid='"task.rank" = [1, 6]')


def test_a_target_over_the_limit_is_refused_before_it_is_read(tmp_path):
    # Of 20,001 x 2 float64 zeros nothing is on the disk but the header.
    with (tmp_path / "Y.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (20_001, 2)})
        file.truncate(file.tell() + 20_001 * 16)
    with pytest.raises(ConfigError, match=r"at most 20000 a side .*found the shape \(20001, 2\)"):
        of_target(tmp_path)


@pytest.mark.parametrize(("sections", "told"), [
    ('[dynamics]\nkind = "modes"', r'dynamics.kind: must be .* beside {}, found "?\'?modes'),
    ('[record]\ncompare = "self_consistent"', r'record.compare: must be "none" beside {}, found'),
])  # fmt: skip
@pytest.mark.parametrize("what", ["[data]", "task.samples", "task.input_decay", "task.capacity_exponent"])
def test_there_is_no_closed_form_where_inputs_are_not_white(tmp_path, sections, told, what):
    saved(tmp_path, X=X, Y=Y)
    drawn = {
        "task.samples": "samples = 9\nrank = 1", "task.input_decay": "input_decay = 1.0\nrank = 1",
        "task.capacity_exponent": "capacity_exponent = 1.0\nsource_exponent = 1.0\noutput_dimension = 1\nrank = 1",
    }  # fmt: skip
    keys = {"data": BOTH} if what == "[data]" else {"task": drawn[what] + "\ndimension = 6"}
    with pytest.raises(ConfigError, match=told.format(re.escape(what))):
        loaded(tmp_path, **keys, rest=sections)


@pytest.mark.parametrize("keys", [BOTH, None])
@pytest.mark.parametrize(("sections", "told"), [
    ('[dynamics]\nkind = "gd"\n[stop]\nrule = "paper"', "stop.rule: must be another than .*paper"),
    ('[dynamics]\nkind = "gd"\nlearning_rate = "paper"', 'dynamics.learning_rate: must be "auto" or a number'),
    ('[dynamics]\nkind = "gd"\nlearning_rate = {{ paper = 5 }}', 'dynamics.learning_rate: must be "auto" or a number'),
])  # fmt: skip
def test_the_papers_rules_ask_for_a_signal(tmp_path, keys, sections, told):
    saved(tmp_path, X=X, Y=Y)
    load = of_target if keys is None else of_data
    with pytest.raises(ConfigError, match=told):
        load(tmp_path, rest=sections.replace("{{", "{").replace("}}", "}"))
    if keys is None:
        saved(tmp_path, A=Y)
        of_target(tmp_path, 'target = "Y.npy"\nsignal = "A.npy"', rest=sections.replace("{{", "{").replace("}}", "}"))


@pytest.mark.parametrize(("text", "told"), [
    ('data = 3\n[grid]\ngamma_w = 1.0\ngamma_sigma2 = 1.0', "data: must be a table, found 3"),
    ('grid = 3\n[data]\ninputs = "X.npy"\noutputs = "Y.npy"', "grid: must be a table, found 3"),
    ('grid = 3\n[task]\ntarget = "Y.npy"', "grid: must be a table, found 3"),
    ('[task]\ntarget = "Y.npy"', "grid: must have"),
    ('task = 3\n[data]\ninputs = "X.npy"\noutputs = "Y.npy"', "task: must be a table, found 3"),
])  # fmt: skip
def test_what_is_no_table_is_told(tmp_path, text, told):
    saved(tmp_path, X=X, Y=Y)
    (tmp_path / "own.toml").write_text(f'name = "own"\n{text}\n')
    with pytest.raises(ConfigError, match=told):
        load_config(tmp_path / "own.toml")


def test_a_task_in_python_needs_no_files():
    config = parse_config({"name": "x", "grid": {"gamma_sigma2": [-1.0], "gamma_w": [1.5]}})
    for task in (Task.from_target(TARGET), Task.from_target(TARGET, SIGNAL), Task.from_data(X, Y, X, Y, rank=1)):
        own = config.of_task(task)
        again = draw_task(own.task)
        assert type(again) is type(task)
        np.testing.assert_array_equal(again.target, task.target)
        assert (again.rank, again.shape) == (task.rank, task.shape)
    over_noise = parse_config(
        {"name": "x", "grid": {"gamma_sigma2": [-1.0], "gamma_w": [1.5], "task.noise": [1.0, 2.0]}}
    )
    over_rank = parse_config({"name": "x", "grid": {"gamma_sigma2": [-1.0], "gamma_w": [1.5], "task.rank": [1, 2]}})
    assert over_rank.of_task(Task.from_target(TARGET, SIGNAL)).cells == 2
    with pytest.raises(ConfigError, match=r"grid.task.rank: must be no axis of a task without a signal"):
        over_rank.of_task(Task.from_target(TARGET))
    with pytest.raises(ConfigError, match=r"grid.task.noise: must be no axis with a task of one's own"):
        over_noise.of_task(Task.from_target(TARGET))


@pytest.mark.slow
def test_half_a_million_samples_reduce_in_flat_memory(tmp_path):
    # 296 MB on the disk. Seen: 2 s and 120 MB, most of it the libraries.
    samples = 5 * 10**5
    rng, B = np.random.default_rng(0), np.random.default_rng(1).standard_normal((64, 10))
    inputs, outputs = (
        np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.float64, (samples, columns))
        for name, columns in (("X", 64), ("Y", 10))
    )
    for first in range(0, samples, 10**5):
        some = rng.standard_normal((10**5, 64))
        inputs[first : first + 10**5] = some
        outputs[first : first + 10**5] = some @ B + rng.standard_normal((10**5, 10))
    del inputs, outputs
    (tmp_path / "own.toml").write_text(f'name = "own"\n[data]\n{BOTH}center = true\n{GRID}')
    code = (
        "import resource, sys, time; import numpy as np; from linphase.config.config import load_config\n"
        "from linphase.model.draws import draw_task\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before, began = peak(), time.perf_counter()\n"
        "task = draw_task(load_config(sys.argv[1]).task)\n"
        "np.save(sys.argv[2], task.solution)\n"
        "print(time.perf_counter() - began, peak() - before, task.irreducible)"
    )
    files = [str(tmp_path / "own.toml"), str(tmp_path / "A.npy")]
    done = subprocess.run([sys.executable, "-c", code, *files], env=ENVIRONMENT, check=True, capture_output=True)
    seconds, megabytes, irreducible = map(float, done.stdout.split())
    assert megabytes < 300
    assert seconds < 60
    assert irreducible == pytest.approx(10, rel=0.005)  # the noise of 10 outputs
    np.testing.assert_allclose(np.load(tmp_path / "A.npy").T, B, atol=0.006)  # 4 of 1/sqrt(n)
