"""A part's name is its content: damage is told from shortage, and a stranger from both."""

import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from linphase.store.checking import check
from linphase.store.reading import Damaged, finished_ids, row_groups
from linphase.store.results import load
from linphase.store.tables import RUNS, TRAJECTORIES
from tests.processes import same_science
from tests.store.parts import add_part, flips, visible
from tests.store.test_faults_store import ENVIRONMENT, linphase


@pytest.mark.parametrize("table", [RUNS, TRAJECTORIES], ids=lambda table: table.name)
def test_a_bit_flipped_anywhere_is_damage(table, results):
    (part,) = (results / table.name).glob("part-*")
    why = "its bytes are not those that were written"
    whole = part.read_bytes()
    places = flips(len(whole), every=max(97, len(whole) // 150))
    for number, place in enumerate(places):
        content = bytearray(whole)
        content[place] ^= 1 << (place % 8)
        part.write_bytes(content)
        with pytest.raises(Damaged, match=f"^{why}$"):
            list(row_groups(part, table))  # by which every command reads
        if number % 10 == 0:
            assert check(results).damaged == ((f"{table.name}/{part.name}", why),)
    assert len(places) > 100
    part.write_bytes(whole)
    assert check(results).sound


def test_the_runs_of_a_part_with_a_flipped_bit_are_missing_and_trained_again(in_parts, undisturbed, config):
    path, names, ids = in_parts
    part = path / "runs" / names["runs"][2]
    content = bytearray(part.read_bytes())
    content[len(content) // 3] ^= 4
    part.write_bytes(content)
    told = linphase("status", path)
    assert told.exit_code == 0
    assert "12 of 16 runs done, 4 missing" in told.output
    assert f"runs/{part.name}: skipped" in told.output
    with pytest.warns(UserWarning, match="skipped"):
        assert finished_ids(path) == {*ids[0], *ids[1], *ids[3]}
    assert linphase("sweep", "--config", config, "--out", path, "--no-plot").exit_code == 0
    with pytest.warns(UserWarning, match="skipped"):  # until somebody repairs
        same_science(undisturbed, path)


def test_a_part_of_another_table_is_named_and_counts_for_nothing(in_parts):
    path, names, ids = in_parts
    shutil.rmtree(path / "runs")
    (path / "runs").mkdir()
    stranger = names["trajectories"][0]
    shutil.copy(path / "trajectories" / stranger, path / "runs")
    told = linphase("status", path)
    assert told.exit_code == 0
    assert "0 of 16 runs done" in told.output
    why = "it belongs into 'trajectories', not into runs"
    assert f"runs/{stranger}: skipped, it cannot be read: {why}" in told.output
    assert f"foreign: runs/{stranger}: {why}" in linphase("check", path).output
    linphase("check", path, "--repair")
    assert (path / "quarantine/runs" / stranger).exists()
    assert visible(path / "runs") == []
    assert check(path).sound
    assert len(ids) == 4


SHORT = """
    import os, resource, sys
    from linphase.cli import main
    import linphase.store.checking, pyarrow.parquet, numpy
    {limit}
    sys.argv = ["linphase", "check", sys.argv[1], "--repair"]
    main()
"""
LIMITS = {
    "open files": """
    taken = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken - 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    """,
    "memory": """
    pages = int(open("/proc/self/statm").read().split()[0])
    room = pages * resource.getpagesize() + 2**24  # with 2**22 pyarrow's own threads may end the process (bad_alloc)
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    """,
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of /proc")
@pytest.mark.parametrize("limit", LIMITS)
def test_shortage_is_no_damage_and_moves_nothing(limit, results):
    if limit == "memory":  # a part for which a little room is not enough
        rng = np.random.default_rng(0)
        (part,) = (results / "trajectories").glob("part-*")
        rows = pq.read_table(part)
        index = rows.schema.get_field_index("singular_values")
        lists = pa.array([rng.standard_normal(10**6).astype(np.float32)] * rows.num_rows, rows.schema.field(index).type)
        part.unlink()
        add_part(results / "trajectories", rows.set_column(index, rows.schema.field(index), lists))
    before = {file: file.read_bytes() for file in results.rglob("part-*")}
    code = textwrap.dedent(SHORT).format(limit=textwrap.dedent(LIMITS[limit]))
    done = subprocess.run([sys.executable, "-c", code, results], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert {file: file.read_bytes() for file in results.rglob("part-*")} == before
    assert not (results / "quarantine").exists()
    assert len(load(results).runs) == 16


def test_parts_of_random_names_are_refused_with_the_remedy(results):
    (part,) = (results / "runs").glob("part-*")
    part.rename(part.with_name(f"part-{'0' * 32}.parquet"))
    for command in ("status", "check"):
        told = linphase(command, results)
        assert told.exit_code == 2
        assert "written by an earlier linphase, whose parts were not named by their content. Sweep again" in told.output
