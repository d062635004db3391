"""What the machine lacks, and names of every kind: one message and the right exit code, or it just works."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import linphase
from linphase.cli import main
from linphase.cli.output import console
from linphase.config.config import load_config
from linphase.store.reading import finished_ids
from linphase.store.rows import failure_row
from linphase.store.writing import create, write_failures
from tests.processes import ENVIRONMENT, TINY

LINPHASE = f"exec {sys.executable} -m linphase"
SWEEP = f"{LINPHASE} sweep --config tiny.toml --out results --jobs 1 --no-plot"  # by one worker


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path


@pytest.fixture
def with_results(here, tiny):
    shutil.copytree(tiny, here / "r")
    return here


def shell(script, **variables):
    environment = {**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1", **variables}
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=300, env=environment)


def mounted(setup, script):
    """A script with mounts of its own."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("cannot mount anything, which takes root")
    return shell(f"unshare -m bash -c 'set -e; {setup}; {script}'")


def no_temporary(directory):
    """Nothing that can be written but a directory, at /mnt: pytest's own ones lie in /tmp."""
    places = ("/tmp", "/var/tmp", "/usr")
    binds = "; ".join(f"mount --bind {each} {each}; mount -o remount,ro,bind {each}" for each in places)
    return f"mount --bind {directory} /mnt; {binds}; cd /usr"


# --- What the machine lacks ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setup", "told"),
    [
        ("mount -t tmpfs -o ro none /dev/shm", "Read-only file system"),
        ("mount -t tmpfs -o size=4k none /dev/shm; head -c 4096 /dev/zero > /dev/shm/full", "No space left on device"),
        ("ulimit -n 12", "Too many open files"),
        ("mkdir gone; cd gone; rmdir ../gone", "No such file or directory"),
    ],
)
def test_without_workers_a_sweep_trains_in_its_own_process_and_says_so(here, setup, told):
    script = SWEEP.replace("tiny.toml", f"{here}/tiny.toml").replace("results", f"{here}/results")
    done = mounted(setup, script)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: worker processes cannot be started: ")
    assert told in line
    assert line.endswith("This process trains alone now, which takes longer")
    assert len(finished_ids(here / "results")) == 9


@pytest.mark.slow
def test_without_a_temporary_directory_a_sweep_works_and_only_traces_of_crashes_are_lost(here):
    script = SWEEP.replace("tiny.toml", "/mnt/tiny.toml").replace("results", "/mnt/results")
    done = mounted(no_temporary(here), script)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(finished_ids(here / "results")) == 9


@pytest.mark.slow
def test_workers_that_can_write_no_trace_of_a_crash_work_all_the_same(here):
    done = mounted("mount -t tmpfs -o nr_inodes=3 none /var/tmp; export TMPDIR=/var/tmp", SWEEP)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "command", "told"),
    [
        ("ulimit -n 6", "plot r", "More open files are required than this process may have. Allow more, as with "),
        ("ulimit -v 100000", "check r", "More memory is required than there is. Free some, or allow more (`ulimit -v`"),
        ("ulimit -f 1", "export r -o runs.csv", "runs.csv: cannot be written: File too large. Larger files are "),
    ],
)
def test_a_shortage_is_one_message_with_its_remedy_and_exit_code_1(with_results, limit, command, told):
    done = shell(f"{limit}; {LINPHASE} {command}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert told in line
    assert len(finished_ids("r")) == 9


@pytest.mark.slow
def test_where_matplotlib_finds_no_place_for_its_cache_there_is_one_line(with_results):
    (with_results / "file").write_text("")
    done = shell(f"{LINPHASE} plot r", MPLCONFIGDIR="file")
    assert done.returncode == 0
    assert (with_results / "r" / "phase_diagram.png").exists()
    (line,) = done.stderr.splitlines()
    assert "temporary cache directory" in line
    done = mounted(
        f"{no_temporary(with_results)}; export MPLCONFIGDIR=/proc/no", f"{LINPHASE} plot /mnt/r -o /mnt/out.png"
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: A place for matplotlib")
    assert "Set MPLCONFIGDIR" in line


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch, with_results):
    for defect in (RuntimeError("wrong"), KeyError("wrong"), FileNotFoundError(2, "no such file", "wrong")):

        def raise_it(*_, defect=defect):
            raise defect

        monkeypatch.setattr("linphase.store.folding.compact", raise_it)
        assert CliRunner().invoke(main, ["compact", "r"]).exception is defect


# --- Standard streams ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status r", "columns", "--help"])
def test_a_closed_standard_output_is_one_message(with_results, command):
    done = shell(f"{LINPHASE} {command} >&-")
    assert done.returncode == 1
    assert done.stderr == "Error: standard output cannot be written: Bad file descriptor\n"


@pytest.mark.slow
def test_closed_standard_input_and_error_are_no_matter_and_no_file_takes_their_place(with_results):
    done = shell(f"{LINPHASE} export r -o runs.csv <&- 2>&-")
    assert (done.returncode, done.stdout) == (0, "9 runs: runs.csv\n")
    done = shell(f"{LINPHASE} status missing <&- 2>&-")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.slow
def test_a_sweep_goes_on_where_nobody_reads_its_output_nor_its_messages(here):
    shell(f"{SWEEP.removeprefix('exec ').removesuffix(' --no-plot')} 2>&1 | head -0")
    assert len(finished_ids(here / "results")) == 9
    assert (here / "results" / "phase_diagram.png").exists()


@pytest.mark.slow
def test_an_encoding_without_greek_letters_gets_them_as_code_has_them(with_results):
    (with_results / "r").rename("σ")
    done = shell(f"{LINPHASE} compact σ", PYTHONIOENCODING="latin-1", LC_ALL="C.UTF-8")
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\u03c3: nothing to fold\n", "")


# --- Names -----------------------------------------------------------------------------------------------------------

WRITERS = [
    ["plot", "r", "-o", "{}.png"],
    ["boundary", "r", "-o", "{}.csv"],
    ["explore", "r", "-o", "{}.html"],
    ["report", "r", "--panel", "regime", "-o", "{}.md"],
    ["export", "r", "-o", "{}.csv"],
    ["classify", "r", "-o", "{}.csv"],
    ["run", "--gamma-sigma2", "-1", "--gamma-w", "1", "-d", "4", "-k", "1", "-o", "{}.png"],
    ["init", "{}"],
    ["theory", "--asymptotic", "--dimensions", "1e2", "--sums", "0.5", "-o", "{}.json"],
    ["theory", "--config", "tiny.toml", "--out", "{}"],
]
READERS = [
    ["status", "{}"],
    ["check", "{}", "--repair"],
    ["compact", "{}"],
    ["plot", "{}", "--terminal"],
    ["plot", "{}"],
    ["report", "{}", "--panel", "regime"],
    ["sweep", "--config", "{}.toml", "--out", "{}"],
]
MISTAKES = [
    ["{}"],
    ["status", "--{}"],
    ["status", "no/{}"],
    ["plot", "r", "--panel", "{}"],
    ["plot", "r", "--where", "{}=1"],
    ["plot", "r", "--criterion", "{}"],
    ["plot", "r", "-o", "{}/x.png"],
    ["sweep", "--config", "tiny.toml", "--shard", "{}"],
    ["sweep", "--config", "tiny.toml", "--set", "{}=1"],
    ["submit", "--config", "{}.toml", "--array", "2", "--dry-run"],
]


def told_of(arguments, name):
    return CliRunner().invoke(main, [each.replace("{}", name) for each in arguments])


@pytest.mark.parametrize("arguments", [*WRITERS, ["plot", "r", "-o", "{}/x.png"]], ids=lambda each: each[0])
def test_a_name_too_long_for_the_file_system_is_one_message(with_results, arguments):
    told = told_of(arguments, "x" * 300)
    assert told.exit_code == 2, told.exception
    (line,) = told.stderr.splitlines()
    assert line.startswith("Error: ")
    assert "x" * 300 in line


def test_a_name_as_long_as_the_file_system_allows_is_written(with_results):
    assert told_of(["export", "r", "-o", "{}.csv"], "x" * 251).exit_code == 0


EVIL = "ev\x1b[31mil\x07\u202e\nError: forged"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["e\udcff\udcfe", f"[/]{EVIL}"], ids=["no UTF-8", "markup and control characters"])
@pytest.mark.parametrize("arguments", [*WRITERS, *READERS], ids=lambda each: " ".join(each[:2]))
def test_names_of_every_kind_are_read_and_written_and_shown_without_control_characters(with_results, arguments, name):
    (with_results / name).parent.mkdir(exist_ok=True)
    if arguments in READERS:
        shutil.copytree("r", name)
        Path(f"{name}.toml").write_text(TINY)
    told = told_of(arguments, name)
    assert told.exit_code == 0, (told.exception, told.stderr)
    lines = (told.stdout + told.stderr).splitlines()
    assert all(each.replace("\t", "").isprintable() for each in lines)
    assert "Error: forged" not in {line[:13] for line in lines}


@pytest.mark.parametrize("arguments", MISTAKES, ids=lambda each: " ".join(each[:2]))
def test_mistakes_are_quoted_without_control_characters(with_results, arguments):
    told = told_of(arguments, EVIL)
    assert told.exit_code == 2
    assert all(each.isprintable() for each in told.output.splitlines())
    assert not any(line.startswith("Error: forged") for line in told.output.splitlines())


@pytest.mark.slow
def test_a_script_on_a_pipe_keeps_its_bytes(here):
    (here / "e\udcff.toml").write_text(TINY)
    command = [sys.executable, "-m", "linphase", "submit", "--config", "e\udcff.toml", "--array", "2", "--dry-run"]
    script = subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=True).stdout
    assert b"--config 'e\xff.toml'" in script


# --- What files tell -------------------------------------------------------------------------------------------------


def test_a_stored_error_is_shown_in_one_line_without_control_characters(here):
    config = load_config("tiny.toml", ["grid.gamma_sigma2=[-2.0]", "grid.gamma_w=[0.0]"])
    create("r", config)
    write_failures("r", [failure_row(next(config.expand()), f"ValueError: {EVIL}", "trace")])
    sweep = ["sweep", "--config", "tiny.toml", "--set", "grid.gamma_sigma2=[-2.0]", "--set", "grid.gamma_w=[0.0]"]
    told = CliRunner().invoke(main, [*sweep, "--out", "r", "--no-plot"])
    assert told.exit_code == 1
    (line,) = told.stderr.splitlines()
    assert line.isprintable()
    assert r"ev\x1b[31mil\x07\u202e\nError: forged" in line


def test_text_in_tables_is_no_markup_and_holds_no_control_characters(capsys):
    from rich.table import Table

    table = Table("[red]head[/red]", title=f"[/]{EVIL}")
    table.add_row(f":smile: \x1b]0;title\x07 [b]{os.sep}")
    console().print(table)
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())
    assert all(each in out for each in ("[red]head[/red]", ":smile:", r"\x1b]0;title\x07", "[/]ev"))


def test_commands_print_through_one_module():
    for file in (Path(linphase.__file__).parent / "cli").glob("*.py"):
        used = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        assert file.stem == "output" or not used & {"echo", "secho", "Console"}, file
