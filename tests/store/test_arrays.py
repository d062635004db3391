"""The user's own arrays beside the results: kept by what they contain, whole or not at all, and read from there."""

import errno
import io
import os
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from linphase.config.config import load_config, parse_config
from linphase.errors import LinphaseError, ResultsError, Unavailable
from linphase.model import arrays
from linphase.model.draws import draw_task
from linphase.model.task import Regression
from linphase.store.checking import check, repair
from linphase.store.directory import configs
from linphase.store.results import load
from linphase.store.writing import create
from tests.processes import ENVIRONMENT, train_here

RNG = np.random.default_rng(0)
FILES = {
    "Y": RNG.standard_normal((5, 7)), "A": np.outer(np.arange(1, 6), np.arange(1, 8)) / 3,
    "X": RNG.standard_normal((20, 6)), "Z": RNG.standard_normal((20, 4)),
}  # fmt: skip
GRID = "[grid]\ngamma_sigma2 = [-2.0, 0.0]\ngamma_w = [1.5]\n"
TASKS = {
    "target": '[task]\ntarget = "Y.npy"\nsignal = "A.npy"\nrank = 1\n',
    "data": '[task]\nrank = 2\n[data]\ninputs = "X.npy"\noutputs = "Z.npy"\ntest_inputs = "X.npy"\n'
    'test_outputs = "Z.npy"\n',
}


def write(folder, kind):
    folder.mkdir(exist_ok=True)
    for name, array in FILES.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "own.toml").write_text(f'name = "own"\n{TASKS[kind]}{GRID}')
    return folder / "own.toml"


@pytest.fixture(scope="module", params=TASKS)
def trained(request, tmp_path_factory):
    """The results of each kind, for copies."""
    there = tmp_path_factory.mktemp(request.param)
    train_here(load_config(write(there / "user", request.param)), there / "r")
    return request.param, there / "r"


@pytest.fixture
def config(trained, tmp_path):
    return load_config(write(tmp_path / "user", trained[0]))


@pytest.fixture
def results(trained, tmp_path):
    shutil.copytree(trained[1], tmp_path / "r")
    return tmp_path / "r"


@pytest.fixture
def forgetful(monkeypatch):
    """Forgets what this process was told of arrays."""
    monkeypatch.setattr(arrays, "_places", {})
    arrays._read.cache_clear()


def kept(root):
    return sorted(os.listdir(root / "arrays"))


def content(task):
    told = task.told() if isinstance(task, Regression) else {"target": task.target, "signal": task.known_signal}
    return {name: array.tobytes() for name, array in told.items()}


def test_what_is_kept_is_the_array_to_the_bit_wherever_the_users_file_is(config, results, tmp_path, forgetful):
    shutil.rmtree(tmp_path / "user")
    assert kept(results) == sorted(config.arrays)
    before = parse_config(configs(results)[0], stored=True).task
    with pytest.raises(LinphaseError, match=r"the array of digest [0-9a-f]{20} is not known here.*Load"):
        draw_task(before)
    assert load(results).runs["converged"].all()
    task = draw_task(before)
    if "data" in config.task.used():
        np.testing.assert_allclose(task.solution.T, np.linalg.lstsq(FILES["X"], FILES["Z"], rcond=None)[0], atol=1e-12)
        assert task.held_out is not None
    else:
        assert (task.target.tobytes(), task.known_signal.tobytes()) == (FILES["Y"].tobytes(), FILES["A"].tobytes())


@pytest.mark.slow
def test_another_process_trains_from_what_is_kept_to_the_same_bits(config, results, tmp_path):
    # What a worker does: it has the specs and the directory, and the user's files are gone.
    there = load(results).runs.set_index("run_id")["final_train_error"]
    create(tmp_path / "again", config)
    shutil.rmtree(tmp_path / "user")
    code = (
        "import sys; from linphase.config.config import parse_config; from linphase.store.directory import configs\n"
        "from linphase.sweeps.batch import assign, run_batch\n"
        "config = parse_config(configs(sys.argv[1])[0])\n"
        "from pathlib import Path; run_batch(Path(sys.argv[1]), assign(config.expand(), config))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "again")], env=ENVIRONMENT, check=True)
    assert load(tmp_path / "again").runs.set_index("run_id")["final_train_error"].equals(there)


def test_a_changed_file_is_refused_with_both_digests(config, results, tmp_path):
    (changed, name) = ("X.npy", "data") if "data" in config.task.used() else ("Y.npy", "target")
    np.save(tmp_path / "user" / changed, FILES[changed[0]] + 1)
    other = load_config(tmp_path / "user" / "own.toml")
    was, now = getattr(config.task, name), getattr(other.task, name)
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    with pytest.raises(ResultsError) as caught:
        create(results, other)
    assert was != now
    assert f'task.{name}: "{was}" in the directory, "{now}" in the config' in str(caught.value)
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before  # nothing is written


def test_an_array_that_nobody_has_makes_no_directory(config, tmp_path, forgetful):
    with pytest.raises(LinphaseError, match=r"the array of digest [0-9a-f]{20} is not known here"):
        create(tmp_path / "r", config)
    assert not (tmp_path / "r").exists()


def damages(file):
    """Ways in which a file goes wrong, as bytes."""
    whole = file.read_bytes()
    yield whole[:-3]
    yield b""
    place = whole.index(b"fortran_order") + 200  # within an array
    yield whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]


def test_a_damaged_array_is_named_moved_aside_and_made_anew(config, results, monkeypatch):
    (name, *_) = config.arrays
    file = results / "arrays" / name
    whole = content(draw_task(config.task))
    for wrong in damages(file):
        file.write_bytes(wrong)
        found = check(results)
        assert not found.sound
        assert [each for each, _ in found.damaged] == [f"arrays/{name}"]
        (line,) = repair(results, found)
        assert line.startswith(f"arrays/{name} moved to quarantine/arrays/{name}")
        lost = check(results)
        assert lost.damaged == ((f"arrays/{name}", arrays.LOST),)
        assert repair(results, lost) == []  # there is nothing to move
        create(results, config)
        assert check(results).sound
    monkeypatch.setattr(arrays, "_places", {})
    assert load(results).runs["converged"].all()
    assert content(draw_task(config.task)) == whole


def test_the_array_of_another_name_is_damage(config, results):
    (name, *_) = config.arrays
    other = results / "arrays" / ("0" * 20 + name[20:])
    shutil.copy(results / "arrays" / name, other)
    assert [each for each, _ in check(results).damaged] == [f"arrays/{other.name}"]


def test_what_is_no_array_is_foreign_and_a_draft_is_a_leftover(results, tmp_path):
    for name in ("notes.txt", "0123.npy"):
        (results / "arrays" / name).write_text("text")
    (tmp_path / "elsewhere.npy").write_bytes(b"")
    (results / "arrays" / ("1" * 20 + ".npy")).symlink_to(tmp_path / "elsewhere.npy")
    os.mkfifo(results / "arrays" / ("2" * 20 + ".npy"))
    (results / "arrays" / ("." + "3" * 32)).write_text("half")
    found = check(results)
    assert {name for name, _ in found.foreign} == {"arrays/notes.txt", "arrays/0123.npy", f"arrays/{'1' * 20}.npy"}
    assert found.damaged == ((f"arrays/{'2' * 20}.npy", "it is no file"),)
    assert found.leftovers == (f"arrays/.{'3' * 32}",)
    repair(results, found)
    assert check(results).sound
    assert (tmp_path / "elsewhere.npy").exists()


def test_what_cannot_be_read_just_now_is_no_damage(config, results, monkeypatch, forgetful):
    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(arrays, "digest", fail)
    monkeypatch.setattr(arrays, "_bundle", fail)
    for call in (lambda: check(results), lambda: load(results) and draw_task(config.task)):
        with pytest.raises(Unavailable, match=r"cannot be read: Input/output error. Make it readable, or try again"):
            call()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize(("call", "of"), [("listdir", "directory"), ("lstat", "directory"), ("lstat", "file")])
def test_an_array_that_cannot_be_looked_at_is_not_lost(config, results, monkeypatch, call, of, number):
    place = results / "arrays" / (config.arrays[0] if of == "file" else "")
    real = getattr(os, call)

    def fail(path, *rest, **more):
        if Path(path) == place:
            raise OSError(number, os.strerror(number), str(path))
        return real(path, *rest, **more)

    monkeypatch.setattr(os, call, fail)
    why = f"{place}: cannot be read: {os.strerror(number)}. Make it readable, or try again"
    for read in (check, load) if of == "directory" else (check,):
        with pytest.raises(Unavailable, match=re.escape(why)):
            read(results)


def test_links_in_a_circle_lose_what_they_should_hold_and_hinder_nobody(config, results):
    (results / "quarantine").symlink_to("quarantine")
    (name, *_) = config.arrays
    (results / "arrays" / name).unlink()
    (results / "arrays" / name).symlink_to(name)
    assert check(results).damaged == ((f"arrays/{name}", arrays.LOST),)
    shutil.rmtree(results / "arrays")
    (results / "arrays").symlink_to("arrays")
    found = check(results)
    assert {why for _, why in found.damaged} == {arrays.LOST}
    (results / "quarantine").unlink()
    assert repair(results, found) == []
    assert len(load(results).runs)


def test_a_damaged_array_is_told_to_who_needs_it(config, results, forgetful):
    for name in config.arrays:
        with (results / "arrays" / name).open("r+b") as file:
            file.truncate(30)
    load(results)  # the table needs none
    with pytest.raises(LinphaseError, match=r"arrays/[0-9a-f]{20}\.np[yz]: it cannot be read as an array: .*--repair"):
        draw_task(config.task)


def test_a_create_that_is_killed_leaves_no_half_array(config, tmp_path, monkeypatch):
    class Killed(BaseException):
        """In place of kill -9."""

    def half(_, file):
        file.write(b"half of it")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(arrays, "keep", half)
        with pytest.raises(Killed):
            create(tmp_path / "r", config)
    assert [name for name in kept(tmp_path / "r") if not name.startswith(".")] == []
    create(tmp_path / "r", config)  # the directory is none of somebody else's
    assert kept(tmp_path / "r") == sorted(config.arrays)
    assert check(tmp_path / "r").sound


BUNDLE = {"R": FILES["X"][:1], "T": FILES["Z"][:1], "test_R": np.zeros((0, 0))}


@pytest.mark.parametrize("bits", [[0], pytest.param(range(1, 8), marks=pytest.mark.slow)])
@pytest.mark.parametrize("kept", [FILES["Y"][:2, :3], FILES["Y"][:1].astype(">f4"), BUNDLE])
def test_no_flip_of_a_bit_goes_unseen(kept, bits, tmp_path):
    # Or what is read is the same, as where the flip is in a date.
    expected = kept if isinstance(kept, dict) else {"": kept}
    name = arrays.remember_bundle(kept) if isinstance(kept, dict) else arrays.remember(kept)
    file, whole = tmp_path / f"{name}.np{'z' if isinstance(kept, dict) else 'y'}", io.BytesIO()
    arrays.keep(name, whole)
    seen = 0
    for place, bit in product(range(len(whole.getvalue())), bits):
        wrong = bytearray(whole.getvalue())
        wrong[place] ^= 1 << (bit + place) % 8
        file.write_bytes(wrong)
        if arrays.damage(file):
            seen += 1
            continue
        arrays._read.cache_clear()
        read = arrays._read(file)
        found = read if isinstance(read, dict) else {"": read}
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[key], array) for key, array in expected.items())
    assert seen > 30 * len(bits)
