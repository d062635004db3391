"""Standard output that cannot be written, as its reader has left or its disk is full; what must not reach it."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.store.reading import finished_ids

TINY = """
name = "tiny"
[task]
dimension = 4
rank = 1
[grid]
gamma_sigma2 = [-2.0, -1.0, 0.0]
gamma_w = [0.5, 1.5]
"""
LINPHASE = f"{sys.executable} -m linphase"

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path


def shell(command):
    return subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["| head -0", "> /dev/full"])
def test_a_sweep_goes_on_and_draws_where_nobody_reads_what_it_prints(here, reader):
    done = shell(f"{LINPHASE} sweep --config tiny.toml --out results {reader}")
    assert done.returncode == 0, done.stderr
    assert len(finished_ids(here / "results")) == 6
    assert (here / "results" / "phase_diagram.png").exists()
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: standard output cannot be written (")
    assert line.endswith("); the work goes on")


@pytest.mark.slow
def test_a_full_disk_behind_standard_output_is_one_message(tiny):
    done = shell(f"{LINPHASE} status {tiny} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == "Error: standard output cannot be written: No space left on device\n"


def test_control_characters_of_names_and_keys_do_not_reach_the_terminal(here):
    name = "evil\x1b[31m\r\x07.toml"
    (here / name).write_text(TINY + '["a\\nError: b\\u001B[2J"]\nx = 1\n')
    told = CliRunner().invoke(main, ["sweep", "--config", name, "--out", "results"])
    assert told.exit_code == 2
    (line,) = told.stderr.splitlines()
    assert all(each.isprintable() for each in line)
    assert line.startswith(r"Error: evil\x1b[31m\r\x07.toml: ")
    assert r'"a\nError: b\u001b[2J"' in line
