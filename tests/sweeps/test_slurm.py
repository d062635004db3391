"""Batch jobs: the script by bash, and whole jobs by a real SLURM, where `.ci/start_slurm` has started one."""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import tomllib
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from linphase.cli import filling, main
from linphase.config.config import parse_config
from linphase.errors import ConfigError
from linphase.store.checking import check, repair
from linphase.store.results import load
from linphase.sweeps.slurm import Job, arrays, script, time_limit
from linphase.sweeps.sweeping import sweep
from tests.attack.invariant import age_drafts
from tests.processes import SLOWER, finish, same_science, start_sweep
from tests.processes import TINY as CONFIG

REFINED = (
    CONFIG.replace("tiny", "refined").replace("[0.0, 1.5, 2.5]", "[0.0, 1.25, 2.5]")
    + """
[refine]
levels = 2
"""
)
ROOT = Path(__file__).parents[2]
NASTY = """it's a "path"; $HOME `id` $(id) {x} %j # \\ é*?"""


def job(**changes):
    values = {"name": "tiny", "config": Path("tiny.toml"), "out": Path("results/tiny"), "tasks": 4, **changes}
    return Job(**values)


def linphase(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(CONFIG)
    return tmp_path


# --- The script ------------------------------------------------------------------------------------------------------


def executed(text: str, tmp_path: Path, *arguments: str) -> list[str]:
    """What linphase is called with when bash runs a script as task 3 of an array."""
    program = tmp_path / "bin" / "linphase"
    program.parent.mkdir(exist_ok=True)
    program.write_text('#!/usr/bin/env bash\nprintf "%s\\0" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "job.sbatch").write_text(text)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", tmp_path / "job.sbatch", *arguments],
        env={"PATH": path, "SLURM_ARRAY_TASK_ID": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return done.stdout.split("\0")[:-1]


def test_every_users_text_reaches_linphase_unchanged(tmp_path):
    overrides = [f"name={NASTY}", "-", "grid.gamma_w=[1,2]"]
    text = script(job(config=Path(NASTY), out=Path("r's/%x"), overrides=overrides), 1000)
    given = ["--config", NASTY, "--out", "r's/%x"]
    for override in overrides:
        given += ["--set", override]
    assert executed(text, tmp_path) == ["sweep", *given, "--shard", "3/4", "--requeue"]
    assert executed(text, tmp_path, "40")[-3:] == ["--shard", "43/4", "--requeue"]  # of a later array


def test_the_script_is_sound_bash_without_an_unquoted_users_value():
    values = {"time": "1-12", "mem": "4G", "partition": "a partition", "options": ["account=U17", "comment=U18; U19"]}
    text = script(job(config=Path("U11 U12"), out=Path("U13"), overrides=["U14=U15 U16"], **values), 1000)
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
    assert not re.findall(r"U1[0-9]|1-12|4G|a partition", bare)
    assert all(f"U1{digit}" in text for digit in range(1, 10))


def test_the_script_asks_for_a_warning_a_requeue_and_a_log_that_is_kept():
    text = script(job(time="01:00:00", mem="4G", partition="long", cpus=8), 1000)
    for line in (
        '--array="1-4"',
        '--cpus-per-task="8"',
        '--time="01:00:00"',
        '--mem="4G"',
        '--partition="long"',
        '--signal="B:USR1@120"',
        '--open-mode="append"',
        "--requeue",
        '--output="results/tiny/slurm/%A_%a.log"',
    ):
        assert f"#SBATCH {line}\n" in text
    assert "exec linphase sweep" in text
    never = script(job(requeue=False), 1000)
    assert "#SBATCH --no-requeue\n" in never
    assert " --requeue" not in never


def test_percent_signs_of_a_path_are_none_of_slurms():
    assert '--output="50%% %%j/slurm/%A_%a.log"' in script(job(out=Path("50% %j")), 1000)


@pytest.mark.parametrize(("tasks", "largest"), [(1, 8), (8, 8), (9, 8), (16, 8), (1000, 7), (100_000, 1000)])
def test_arrays_cover_all_tasks_once_and_none_is_too_large(tasks, largest):
    parts = arrays(tasks, largest)
    assert all(1 <= count <= largest for _, count in parts)
    assert [offset + i for offset, count in parts for i in range(count)] == list(range(tasks))
    assert len(parts) == -(-tasks // largest)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("90:30", 5430), ("1:30:00", 5400), ("1-12", 129600), ("1-12:30", 131400), ("1-0:0:5", 86405)],
)
def test_time_limits_are_read_as_sbatch_reads_them(text, seconds):
    assert time_limit(text) == seconds


MISTAKES = {
    "newline in an option": (["--sbatch", "comment=a\n#SBATCH --uid=0"], "--sbatch: one line without control"),
    "newline in an override": (["--set", "task.rank=1\n"], "--set: one line without control"),
    "newline in the partition": (["--partition", "a\nb"], "--partition: one line without control"),
    "carriage return": (["--sbatch", "comment=a\rb"], "one line without control"),
    "newline in the directory": (["--out", "a\nb"], "--out: one line without control"),
    "backslash in the directory": (["--out", "a\\b"], "--out: a path without backslashes is required"),
    "no key": (["--sbatch", "=high"], "--sbatch: KEY=VALUE is required"),
    "dashes": (["--sbatch", "--qos=high"], "--sbatch: KEY=VALUE is required"),
    "space in a key": (["--sbatch", "qos high"], "--sbatch: KEY=VALUE is required"),
    "array": (["--sbatch", "array=1-3"], "Use --array"),
    "an abbreviation of array": (["--sbatch", "arr=1-3"], "Use --array"),
    "a signal of another kind": (["--sbatch", "signal=KILL"], "sbatch's --signal. Edit the script of a --dry-run"),
    "nothing submitted": (["--sbatch", "test-only"], "sbatch's --test-only"),
    "another command": (["--sbatch", "wrap=reboot"], "sbatch's --wrap"),
    "time as another option": (["--sbatch", "time=10"], "Use --time"),
    "no time": (["--time", "soon"], "--time: minutes, HH:MM:SS or D-HH:MM:SS is required"),
    "time too short": (["--time", "2"], "--time: more than 2 minutes are required"),
    "no memory": (["--mem", "4 GB"], "--mem: a size such as 500M or 4G is required, found '4 GB'"),
    "empty partition": (["--partition", ""], "--partition: a name is required"),
    "more tasks than runs": (["--array", "10"], "--array: at most one task a run is required, 9, found 10"),
    "no tasks": (["--array", "0"], "--array"),
    "no cores": (["--cpus-per-task", "0"], "--cpus-per-task"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_mistake_gets_one_message_exit_code_2_and_writes_nothing(mistake, dry, here, monkeypatch):
    monkeypatch.setattr("linphase.sweeps.slurm.largest_array", lambda: 1000)
    monkeypatch.setattr("linphase.sweeps.slurm.submit", lambda *_: pytest.fail("was submitted"))
    arguments, message = MISTAKES[mistake]
    done = linphase("submit", "--config", "tiny.toml", "--array", "4", *arguments, *dry)
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert "#!" not in done.output
    assert [file.name for file in here.iterdir()] == ["tiny.toml"]


def test_a_dry_run_prints_the_script_and_writes_nothing_with_or_without_slurm(here, monkeypatch):
    monkeypatch.setenv("PATH", str(here))  # no scontrol
    done = CliRunner().invoke(main, ["submit", "--config", "tiny.toml", "--array", "4", "--dry-run"])
    assert done.exit_code == 0
    assert done.stdout.startswith("#!/usr/bin/env bash\n")
    assert "arrays of at most 1000 tasks are assumed" in done.stderr
    assert done.stdout.count("exec ") == 1
    assert [file.name for file in here.iterdir()] == ["tiny.toml"]


def test_without_slurm_submit_says_so_and_writes_nothing(here, monkeypatch):
    monkeypatch.setenv("PATH", str(here))
    done = linphase("submit", "--config", "tiny.toml", "--array", "4")
    assert done.exit_code == 2
    assert "scontrol: no such command here; a machine that submits to SLURM is required" in done.output
    assert [file.name for file in here.iterdir()] == ["tiny.toml"]


def test_another_configuration_in_the_directory_is_refused_at_submission(here, tiny, monkeypatch):
    monkeypatch.setattr("linphase.sweeps.slurm.largest_array", lambda: 1000)
    monkeypatch.setattr("linphase.sweeps.slurm.submit", lambda *_: pytest.fail("was submitted"))
    shutil.copytree(tiny, "results/tiny")
    other = linphase("submit", "--config", "tiny.toml", "--array", "4", "--set", "task.noise=2.0")
    assert other.exit_code == 2
    assert "task.noise: 1.0 in the directory, 2.0 in the config" in other.output
    same = linphase("submit", "--config", "tiny.toml", "--array", "4")
    assert same.exit_code == 0
    assert "nothing is submitted" in same.output


def test_a_path_with_a_newline_is_refused():
    with pytest.raises(ConfigError, match="--config: one line"):
        script(job(config=Path("a\nb")), 1000)


# --- Signals, without SLURM ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("RUNNING", "Requeueing task 7_2"),
        ("COMPLETING", "task 7_2 is not requeued: a running one is required, found COMPLETING. What SLURM"),
    ],
)
def test_usr1_stops_commits_and_requeues_only_a_running_task(state, said, tmp_path):
    (tmp_path / "slower.toml").write_text(SLOWER)
    calls = tmp_path / "calls"
    for name, reply in (("squeue", f"echo {state}"), ("scontrol", "true")):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/usr/bin/env bash\necho {name} "$@" >>{calls}\n{reply}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SLURM_JOB_ID": "7",
        "SLURM_ARRAY_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "2",
        "SLURM_ARRAY_TASK_MIN": "1",
        "SLURM_ARRAY_TASK_MAX": "2",
        "SLURM_ARRAY_TASK_COUNT": "2",
    }
    command = [sys.executable, "-m", "linphase", "sweep", "--config", "slower.toml", "--out", "r", "--no-plot"]
    process = subprocess.Popen(
        [*command, "--requeue"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    until(lambda: list((tmp_path / "r" / "runs").glob("part-*")), 60)
    os.killpg(process.pid, signal.SIGUSR1)  # the workers too: they leave it to their parent
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 143, out
    assert said in out
    assert "Shard 2/2, as SLURM_ARRAY_TASK_ID is 2" in out
    assert 0 < len(load(tmp_path / "r").runs) < 60
    asked = calls.read_text() if calls.exists() else ""
    assert ("scontrol requeue 7_2" in asked) == (state == "RUNNING")


@pytest.mark.parametrize("when", ["2026-11-28T20:36:00", "None"])
def test_a_task_warned_before_its_first_run_is_requeued_only_if_it_is_preempted(when, tmp_path, monkeypatch, capsys):
    for name, reply in (("squeue", "RUNNING"), ("scontrol", f"JobId=7 JobState=RUNNING PreemptTime={when} Power=")):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\necho {reply}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with contextlib.suppress(SystemExit):
        filling._requeue("7_2", signal.SIGUSR1, set(), "200 runs left")
    assert ("requeue 7_2" in (tmp_path / "calls").read_text()) == (when != "None")
    assert ("had no time to finish a single run" in capsys.readouterr().err) == (when == "None")


# --- A real SLURM ----------------------------------------------------------------------------------------------------


def until(condition, seconds: float, pause: float = 0.1):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(pause)
    return found


def ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def why_not() -> str:
    """Why no test job can be submitted here; empty where it can."""
    try:
        ask("timeout", "20", "sinfo")
        shown = ask("scontrol", "show", "config")
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no SLURM answers here ({error}); .ci/start_slurm starts one"
    found = re.search(r"^ClusterName\s*=\s*(\S+)", shown, re.MULTILINE)
    if found is None or found[1] != "linphase_test":
        return "SLURM here is not the one of .ci/start_slurm; no test jobs are submitted to it"
    return ""


@pytest.fixture(scope="module")
def cluster():
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture
def on_cluster(cluster, here, monkeypatch):
    """A directory of one's own, linphase in the PATH of the jobs; what is left of them is cancelled.

    One test at a time: the jobs of one need all cores that SLURM has here.
    """
    turn = (Path(tempfile.gettempdir()) / "linphase-test-slurm").open("w")
    fcntl.flock(turn, fcntl.LOCK_EX)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (here / "slower.toml").write_text(SLOWER)
    submitted: list[str] = []
    yield here, submitted
    for number in submitted:
        subprocess.run(["scancel", number], check=False)
    turn.close()


def submit(on_cluster, *arguments) -> list[str]:
    """Submit by the command; the job ids."""
    done = linphase("submit", *arguments)
    found = re.findall(r"Submitted batch job (\d+)", done.output)
    on_cluster[1].extend(found)
    assert done.exit_code == 0, done.output
    return found


def tasks(number: str) -> dict[str, dict[str, str]]:
    """What SLURM knows of every task of an array, by task id."""
    shown = [
        dict(re.findall(r"(\w+)=(\S+)", line))
        for line in ask("scontrol", "--oneliner", "show", "job", number).splitlines()
    ]
    return {facts["ArrayTaskId"]: facts for facts in shown}


ASKING = 0.5  # seconds between two questions to SLURM, each of which starts a process
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}


def wait_for(number: str, seconds: float = 180) -> dict[str, dict[str, str]]:
    """The tasks of an array, once all have ended."""
    return until(
        lambda: (found := tasks(number)) and all(each["JobState"] in ENDED for each in found.values()) and found,
        seconds,
        ASKING,
    )


def stored_ids(path: Path) -> list[str]:
    """The ids of all committed rows, copies included."""
    return pd.read_parquet(path / "runs")["run_id"].tolist()


def logs(path: Path, number: str) -> str:
    return "\n".join(file.read_text() for file in sorted((path / "slurm").glob(f"{number}_*.log")))


def unharmed(out: Path, undisturbed: Path) -> None:
    """Nothing lost or twice, the bits of an undisturbed sweep, no traceback in a log, and no file left over.

    A worker that is killed while it writes leaves a draft, which `check --repair` removes a day later.
    """
    age_drafts(out)
    assert not [line for line in repair(out, check(out)) if "a draft" not in line]
    assert len(stored_ids(out)) == len(set(stored_ids(out)))
    assert not load(out).missing()
    same_science(out, undisturbed)
    assert "Traceback" not in "".join(file.read_text() for file in (out / "slurm").glob("*.log"))
    assert {file.name for file in out.iterdir()} == {
        "configs", "failures", "phase_diagram.png", "runs", "slurm", "trajectories"
    }  # fmt: skip
    parts = [file.name for table in ("runs", "trajectories", "failures") for file in (out / table).iterdir()]
    assert all(re.fullmatch(r"part-[0-9a-f]{40}\.parquet", name) for name in parts), parts
    assert not list((out / "failures").iterdir())


@pytest.mark.slow
def test_a_sweep_that_refines_is_one_array_a_level_each_after_the_one_before(on_cluster):
    here, _ = on_cluster
    (here / "refined.toml").write_text(REFINED)
    numbers = submit(on_cluster, "--config", "refined.toml", "--array", 2, "--time", 10, "--mem", "100M")
    assert len(numbers) == 3
    # Two tasks a level fill two cores: without this, SLURM's own order would do.
    for before, number in pairwise(numbers):
        assert {facts["Dependency"] for facts in tasks(number).values()} == {f"afterany:{before}_*(unfulfilled)"}
    for number in numbers:
        ended = wait_for(number)
        assert {facts["JobState"] for facts in ended.values()} == {"COMPLETED"}, logs(here / "results/refined", number)
    results = load(here / "results/refined")
    assert not results.missing()
    assert len(results.asked.levels) == 3
    sweep(parse_config(tomllib.loads(REFINED)), here / "alone")
    same_science(here / "results/refined", here / "alone")
    done = linphase("submit", "--config", "refined.toml", "--array", 2)
    assert f"All {len(results.runs)} runs are in results/refined already" in done.output


@pytest.mark.slow
def test_any_path_any_comment_and_more_tasks_than_one_array_holds(on_cluster):
    here, _ = on_cluster
    (here / NASTY).write_text(CONFIG)
    out = """r's "50%" $HOME %j"""
    arguments = ["--out", out, "--array", 5, "--sbatch", f"comment={NASTY}", "--set", "task.noise=0.5"]
    numbers = submit(on_cluster, "--config", NASTY, *arguments)
    assert len(numbers) == 2  # .ci/start_slurm allows 4 tasks an array
    comment = re.search(r"Comment=(.*?)\s*$", ask("scontrol", "show", "job", numbers[0]), re.MULTILINE)
    assert comment is not None
    assert comment[1] == NASTY
    ended = [facts for number in numbers for facts in wait_for(number).values()]
    told = "".join(logs(here / out, number) for number in numbers)
    assert len(ended) == 5
    assert {facts["JobState"] for facts in ended} == {"COMPLETED"}, told
    assert len(stored_ids(here / out)) == len(set(stored_ids(here / out))) == 9


@pytest.mark.slow
def test_a_signalled_task_requeues_itself_alone_and_completes_the_rest(on_cluster):
    here, _ = on_cluster
    (number,) = submit(on_cluster, "--config", "slower.toml", "--array", 2)
    out = here / "results" / "slower"
    running = until(lambda: (found := tasks(number)) and {"1", "2"} <= set(found) and found, 60, ASKING)
    # This is the task that has the id of the whole array.
    last = next(task for task, facts in running.items() if facts["JobId"] == number)
    until(lambda: (out / "slurm" / f"{number}_{last}.log").exists(), 60)
    until(lambda: len(list((out / "runs").glob("part-*"))) >= 4, 60)
    ask("scancel", "--signal=USR1", "--batch", f"{number}_{last}")
    until(lambda: tasks(number)[last]["Restarts"] == "1", 30, ASKING)
    kept = len(set(stored_ids(out)))
    assert 0 < kept < 120
    ended = wait_for(number)
    told = logs(out, number)
    assert {facts["JobState"] for facts in ended.values()} == {"COMPLETED"}, told
    assert {task: facts["Restarts"] for task, facts in ended.items()} == {"1": "0", "2": "0", last: "1"}
    log = (out / "slurm" / f"{number}_{last}.log").read_text()
    assert f"Requeueing task {number}_{last}" in log
    assert re.search(r"[1-9]\d* of 60 runs are in results/slower already", log)  # appended, and resumed
    assert len(stored_ids(out)) == len(set(stored_ids(out))) == 120
    assert not load(out).missing()


@pytest.mark.slow
def test_a_cancelled_task_stays_cancelled_and_submitted_again_completes_what_it_kept(on_cluster, slower):
    here, _ = on_cluster
    (number,) = submit(on_cluster, "--config", "slower.toml", "--array", 1)
    out = here / "results" / "slower"
    until(lambda: list((out / "runs").glob("part-*")), 60)
    ask("scancel", number)
    ended = wait_for(number)
    assert ended["1"]["JobState"] == "CANCELLED"
    until(lambda: "is not requeued" in logs(out, number), 30)
    time.sleep(8)  # a requeued one would be back after 5 s
    assert ask("squeue", "--noheader", f"--jobs={number}").strip() == ""
    assert 0 < len(load(out).runs) < 120
    (again,) = submit(on_cluster, "--config", "slower.toml", "--array", 2)
    assert {facts["JobState"] for facts in wait_for(again).values()} == {"COMPLETED"}, logs(out, again)
    unharmed(out, slower)


@pytest.mark.slow
def test_without_requeue_a_signalled_task_exits_with_143(on_cluster):
    here, _ = on_cluster
    (number,) = submit(on_cluster, "--config", "slower.toml", "--array", 1, "--no-requeue")
    out = here / "results" / "slower"
    until(lambda: list((out / "runs").glob("part-*")), 60)
    ask("scancel", "--signal=USR1", "--batch", f"{number}_1")
    ended = wait_for(number)
    assert ended["1"]["ExitCode"] == "143:0", logs(out, number)
    assert ended["1"]["Restarts"] == "0"
    assert "To go on, run the same again" in logs(out, number)


@pytest.mark.slow
def test_a_plain_array_is_sharded_by_its_task_ids_and_one_with_gaps_is_refused(on_cluster):
    here, submitted = on_cluster
    wrap = "--wrap=linphase sweep --config tiny.toml --no-plot"
    whole = ask("sbatch", "--parsable", "--array=2-3", "--output=%a.log", wrap).strip()
    gaps = ask("sbatch", "--parsable", "--array=1,3", "--output=gap%a.log", wrap).strip()
    submitted += [whole, gaps]
    assert {facts["JobState"] for facts in wait_for(whole).values()} == {"COMPLETED"}
    assert "Shard 2/2, as SLURM_ARRAY_TASK_ID is 3" in (here / "3.log").read_text()
    assert len(stored_ids(here / "results" / "tiny")) == 9
    assert {facts["ExitCode"] for facts in wait_for(gaps).values()} == {"2:0"}
    assert "an array without gaps is required" in (here / "gap1.log").read_text()


@pytest.mark.slow
def test_an_array_refused_half_way_says_what_is_left_and_how_to_submit_it(on_cluster, tiny):
    here, submitted = on_cluster
    # The partition is closed by an administrator after the first array; the refusal is SLURM's own.
    closing = here / "bin" / "sbatch"
    closing.parent.mkdir()
    closing.write_text(
        f'#!/usr/bin/env bash\n{shutil.which("sbatch")} "$@" && scontrol update PartitionName=main State=DRAIN\n'
    )
    closing.chmod(0o755)
    environment = {"PATH": f"{closing.parent}{os.pathsep}{os.environ['PATH']}"}
    asked = ["--config", "tiny.toml", "--array", "9", "--time", "10", "--mem", "100M"]
    try:
        done = CliRunner(env=environment).invoke(main, ["submit", *asked])
    finally:
        ask("scontrol", "update", "PartitionName=main", "State=UP")
    submitted += re.findall(r"Submitted batch job (\d+)", done.output)
    assert done.exit_code == 2, done.output
    assert len(submitted) == 1
    out = here / "results" / "tiny"
    told, *commands = done.stderr.partition("Shards")[2].splitlines()
    assert told.startswith(" 1 to 3 of 9 are submitted, 4 to 9 are left. Mend what SLURM names")
    assert re.match(r"Error: sbatch --parsable: sbatch: error: .*[Pp]artition", done.stderr)
    script_file = "'results/tiny/slurm/tiny.sbatch'"
    assert commands == [f"  sbatch --array=1-3 {script_file} 3", f"  sbatch --array=1-3 {script_file} 6"]
    for command in commands:
        submitted += re.findall(r"Submitted batch job (\d+)", ask("bash", "-c", command))
    ended = [facts["JobState"] for number in submitted for facts in wait_for(number).values()]
    told = [logs(out, number) for number in submitted]
    assert ended == ["COMPLETED"] * 9, told
    assert "runs by regime and status" in "".join(told)
    unharmed(out, tiny)


@pytest.mark.slow
def test_a_full_standard_output_does_not_end_a_submission_half_way(on_cluster):
    command = ["linphase", "submit", "--config", "tiny.toml", "--array", "5", "--set", "name=unheard"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    waiting = set(ask("squeue", "--noheader", "--name=unheard", "--format=%F").split())
    on_cluster[1].extend(waiting)
    assert done.returncode == 0, done.stderr
    assert "standard output cannot be written" in done.stderr
    assert len(waiting) == 2


# --- A real SLURM, disturbed -----------------------------------------------------------------------------------------

NAPPING = """
import time
from pathlib import Path

import linphase


@linphase.observable("1, after a nap while there is a file of this name", panel="nap", title="nap", at=("end",))
def nap(moment) -> float:
    if Path("nap").exists():
        time.sleep(0.4)
    return 1.0
"""
# Two tasks with a worker each, as the estimate is above 2 s for both; slow enough for SLURM, which looks every 30 s.
NAPS = 'plugins = ["napping.py"]\n' + SLOWER.replace("num = 12", "num = 20")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The same sweep without SLURM, and wide awake."""
    path = tmp_path_factory.mktemp("undisturbed")
    (path / "napping.py").write_text(NAPPING)
    finish(start_sweep(path, text=NAPS))
    return path / "r"


@pytest.fixture
def napping(on_cluster, monkeypatch):
    """A sweep that takes its time as long as there is the file `nap`, with temporary files in a place of its own."""
    here, _ = on_cluster
    (here / "napping.py").write_text(NAPPING)
    (here / "naps.toml").write_text(NAPS)
    (here / "nap").touch()
    (here / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(here / "tmp"))
    return here


def restarts(number: str) -> set[str]:
    return {facts["Restarts"] for facts in tasks(number).values()}


def has_parts(out: Path, count: int = 1) -> bool:
    return len(list((out / "runs").glob("part-*"))) >= count


@pytest.mark.alone
def test_tasks_out_of_time_and_preempted_ones_go_back_and_complete_their_sweeps(on_cluster, napping, undisturbed):
    late, early = napping / "late", napping / "early"
    arguments = ["--config", "naps.toml", "--array", 1]
    # Nothing preempts a job of `urgent`, so each task meets one disturbance.
    (slow,) = submit(on_cluster, *arguments, "--out", "late", "--partition", "urgent", "--time", 10)
    (weak,) = submit(on_cluster, *arguments, "--out", "early")
    until(lambda: has_parts(late) and has_parts(early), 60)
    ask("scontrol", "update", f"JobId={slow}_1", "TimeLimit=2")  # SLURM now warns it as it does two minutes before
    others = (os.cpu_count() or 2) - 1
    urgent = ("--partition=urgent", f"--cpus-per-task={others}", "--output=urgent.log", "--wrap=true")
    on_cluster[1].append(ask("sbatch", "--parsable", *urgent).strip())
    until(lambda: restarts(slow) == {"1"}, 60, ASKING)
    ask("scontrol", "update", f"JobId={slow}_1", "TimeLimit=10")  # now, while it waits: else it is warned as it begins
    until(lambda: restarts(weak) == {"1"}, 60, ASKING)
    kept = [len(load(out).runs) for out in (late, early)]
    (napping / "nap").unlink()
    for number, out in ((slow, late), (weak, early)):
        assert {facts["JobState"] for facts in wait_for(number).values()} == {"COMPLETED"}, logs(out, number)
        assert restarts(number) == {"1"}
        unharmed(out, undisturbed)
    assert all(0 < runs < 200 for runs in kept)
    assert f"Requeueing task {slow}_1" in logs(late, slow)
    assert "Stopping: waiting up to 75 s for runs in flight" in logs(late, slow)
    assert "DUE TO PREEMPTION" in logs(early, weak)
    assert "Stopping: waiting up to 5 s for runs in flight" in logs(early, weak)
    for number, out in ((slow, late), (weak, early)):
        assert re.search(r"[1-9]\d* of 200 runs are in \w+ already", logs(out, number))  # resumed, and appended
    assert not list((napping / "tmp").iterdir())


def processes_of(number: str) -> list[int]:
    """The processes of an array's tasks, and those of SLURM's that hold them (Linux only)."""
    steps = tuple(f"slurmstepd: [{facts['JobId']}.".encode() for facts in tasks(number).values())
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            ours = f"SLURM_ARRAY_JOB_ID={number}".encode() in (place / "environ").read_bytes().split(b"\0")
            if ours or (place / "cmdline").read_bytes().startswith(steps):
                found.append(int(place.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


@pytest.fixture
def node():
    """Kills slurmd, with whatever else it is told, and starts it again; at the end it runs."""

    def kill(*others: int) -> None:
        for pid in (*map(int, ask("pidof", "slurmd").split()), *others):
            os.kill(pid, signal.SIGKILL)
        until(lambda: subprocess.run(["pidof", "slurmd"], capture_output=True, check=False).returncode, 10)

    yield kill
    if subprocess.run(["pidof", "slurmd"], capture_output=True, check=False).returncode:
        ask("slurmd")


@pytest.mark.alone
def test_an_array_outlives_slurmd_and_completes_after_its_node_died(on_cluster, napping, undisturbed, node):
    out = napping / "results" / "slower"
    (number,) = submit(on_cluster, "--config", "naps.toml", "--array", 2)
    until(lambda: has_parts(out, 2), 60)
    began = time.monotonic()
    node()
    ask("slurmd")
    until(lambda: {facts["JobState"] for facts in tasks(number).values()} == {"RUNNING"}, 10)
    assert restarts(number) == {"0"}  # its tasks do not need it
    time.sleep(max(0.0, began + 12 - time.monotonic()))  # then SLURM looks for a task that it does not find
    node(*processes_of(number))
    kept = len(load(out).runs)
    ask("slurmd", "-b")  # as after a boot
    until(lambda: restarts(number) == {"1"}, 30, ASKING)
    (napping / "nap").unlink()
    assert {facts["JobState"] for facts in wait_for(number).values()} == {"COMPLETED"}, logs(out, number)
    assert 0 < kept < 200
    unharmed(out, undisturbed)
