"""A small sweep, whole and in parts, for tests of what happens to results on disk."""

import shutil
import tomllib

import pytest

from linphase.config.config import parse_config
from linphase.store.directory import configs
from linphase.store.writing import create
from linphase.sweeps.batch import assign, run_batch
from tests.disks import small_disk
from tests.processes import train_here
from tests.store.parts import visible

CONFIG = """
name = "tiny"
[task]
dimension = 8
rank = 2
[grid]
gamma_sigma2 = { start = -3.0, stop = 0.0, num = 4 }
gamma_w = { start = 0.0, stop = 2.5, num = 4 }
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "tiny.toml").write_text(CONFIG)
    return tmp_path / "tiny.toml"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "r"
    train_here(parse_config(tomllib.loads(CONFIG)), path)
    return path


@pytest.fixture
def results(undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "r")
    return tmp_path / "r"


@pytest.fixture(scope="session")
def parts(undisturbed, tmp_path_factory):
    path = tmp_path_factory.mktemp("parts") / "r"
    config = parse_config(configs(undisturbed)[0])
    create(path, config)
    specs = list(config.expand())
    names, ids = {"runs": [], "trajectories": []}, []
    for first in range(0, 16, 4):
        before = {table: set(visible(path / table)) for table in names}
        run_batch(path, assign(specs[first : first + 4], config))
        for table, those in names.items():
            those += set(visible(path / table)) - before[table]
        ids.append([spec.run_id for spec in specs[first : first + 4]])
    return path, names, ids


@pytest.fixture
def in_parts(parts, tmp_path):
    """The same results, in four parts of four runs: (the directory, names of the parts by table, the ids in each)."""
    path, names, ids = parts
    shutil.copytree(path, tmp_path / "r")
    return tmp_path / "r", names, ids


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, of 2 MB."""
    with small_disk(tmp_path / "disk") as there:
        if not there:
            pytest.skip("cannot mount a tmpfs, which takes root")
        yield tmp_path / "disk"
