"""Parts that are whole by their names and hold what linphase never writes: made by another program, or by malice."""

import csv
import io
import json
import os
import random
import resource
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from linphase.store.columns import SCHEMA_VERSION
from linphase.store.results import load
from tests.attack.arena import RUNS, Arena, in_order
from tests.attack.invariant import holds
from tests.attack.registry import attack
from tests.store.parts import add_bytes

Craft = Callable[[pa.Table, random.Random], "pa.Table | bytes"]
PEAK = 600 * 2**20  # bytes of memory that no part may have a command take
LATE = 20.0  # seconds of a core that no command may take
OTHERS = (("boundary", "r"), ("classify", "r"), ("explore", "r", "-o", "out.html"), ("plot", "r", "-o", "out.png"),
          ("plot", "r", "--panel", "trajectories", "-o", "out.png"), ("compact", "r"))  # fmt: skip


@dataclass(frozen=True)
class Crafted:
    table: str
    craft: Craft
    places: tuple[str, ...]  # instead of a healthy part, beside it as copies, or beside it with ids of nobody


CRAFTS: list[Crafted] = []
INSTEAD, BESIDE, NOBODYS = "instead", "beside", "nobody's"


def craft(*tables: str, places: tuple[str, ...] = (INSTEAD, BESIDE, NOBODYS)) -> Callable[[Craft], Craft]:
    """Declare a craft: a function that makes of the rows of a healthy part those of a crafted one, or its bytes."""

    def declare(function: Craft) -> Craft:
        CRAFTS.extend(Crafted(table, function, places) for table in tables)
        return function

    return declare


@attack("crafted")
def crafted_parts(arena: Arena) -> int:
    """Commands end soon, in little memory and without a traceback; they show the healthy rows as they are."""
    arena.have(arena.ground.parts)
    count = arena.dice.randint(1, 3)
    healthy = set(arena.kept)
    for place in arena.dice.sample(range(RUNS // 2), count):
        one = arena.dice.choice(CRAFTS)
        where = arena.dice.choice(one.places)
        arena.told.append(f"{one.craft.__name__} of part {place} of {one.table}, {where}")
        arena.call(partial(_add, arena.results, one, where, place, arena.ground.parts, arena.dice.random()))
        if where == INSTEAD and one.table != "failures":
            os.unlink(arena.results / one.table / in_order(arena.ground.parts / one.table)[place])
            arena.lose([place])
            if one.table == "runs":
                healthy -= arena.of(place)
    _look(arena, "status", "r")
    _look(arena, "export", "r", "-o", "runs.csv")
    arena.call(partial(_shown, arena.ground.undisturbed, arena.path / "runs.csv", healthy))
    for command in arena.dice.sample(OTHERS, 2):
        _look(arena, *command, codes=(0, 1, 2))
    _look(arena, "check", "r", codes=(0, 1))
    holds(arena, damaged=True, within=_limited)
    return count


def _look(arena: Arena, *command: str, codes: tuple[int, ...] = (0,)) -> None:
    done = arena.linphase(*command, codes=codes, within=_limited)
    assert done.peak < PEAK, f"{done.peak / 2**20:.0f} MB of memory"
    assert done.cpu < LATE, f"{done.cpu:.0f} s of a core"
    strange = [each for each in done.out if not each.isprintable() and each not in "\n\t"]
    assert not strange, f"control characters reach the terminal: {strange!r}"


def _limited() -> None:
    """Far more than it may take, so that this machine lives to tell of it."""
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))


def _shown(undisturbed: Path, exported: Path, healthy: set[str]) -> None:
    """Each healthy run is in the table once, with the numbers of the undisturbed sweep."""
    there = {row["run_id"]: row for row in csv.DictReader(io.StringIO(load(undisturbed).runs.to_csv(index=False)))}
    rows = list(csv.DictReader(io.StringIO(exported.read_text())))
    here = {row["run_id"]: row for row in rows}
    assert len(here) == len(rows), "runs are in the table twice"
    assert healthy <= here.keys(), f"{len(healthy - here.keys())} healthy runs are not in the table"
    for run_id in sorted(healthy):
        for name in there[run_id].keys() - {"elapsed_s"}:
            one, two = there[run_id][name], here[run_id][name]
            assert one == two, f"{name} of a healthy run is {two!r}, was {one!r}"


def _add(results: Path, one: Crafted, where: str, place: int, parts: Path, seed: float) -> None:
    """Make the part in a process of its own: what it takes is no command's."""
    dice = random.Random(seed)
    source = "runs" if one.table == "failures" else one.table
    rows = pq.read_table(parts / source / in_order(parts / source)[place])
    if one.table == "failures":
        rows = _failures(rows)
    if where == NOBODYS:
        rows = _with(rows, "run_id", [secrets.token_hex(10) for _ in range(rows.num_rows)])
    made = one.craft(rows, dice)
    add_bytes(results / one.table, made if isinstance(made, bytes) else _written(made))


def _written(rows: pa.Table, **options: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(rows, file, compression="zstd", **options)
    return file.getvalue()


def _failures(rows: pa.Table) -> pa.Table:
    """Failures of runs that nobody asked for, from their rows."""
    told = {**(rows.schema.metadata or {}), b"linphase_table": b"failures"}
    for name in ("error", "traceback"):
        rows = rows.append_column(pa.field(name, pa.string(), metadata={"meaning": name}), [["x"] * rows.num_rows])
    return rows.replace_schema_metadata(told)


def _with(rows: pa.Table, name: str, values: object, kind: pa.DataType | None = None) -> pa.Table:
    """The rows with other values, or another type, in a column."""
    index = rows.schema.get_field_index(name)
    field = rows.schema.field(index)
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, kind or field.type)
    return rows.set_column(index, pa.field(name, array.type, metadata=field.metadata), array)


def _one_null(rows: pa.Table, name: str, dice: random.Random) -> pa.Table:
    values = rows.column(name).to_pylist()
    values[dice.randrange(len(values))] = None
    return _with(rows, name, values)


# --- Runs ------------------------------------------------------------------------------------------------------------

_EVERY = ("width", "replicate", "init_variance", "gamma_w", "gamma_sigma2", "dimension", "rank", "status", "threshold",
          "numerics_version", "kind", "converged")  # fmt: skip


@craft("runs")
def null_widths(rows, dice):
    return _one_null(rows, "width", dice)


@craft("runs")
def nulls_where_every_run_has_a_value(rows, dice):
    return _one_null(rows, dice.choice(_EVERY), dice)


@craft("runs")
def unknown_statuses(rows, dice):
    return _with(rows, "status", [dice.choice(("", "exploded", "Converged", "\x1b[31mred"))] * rows.num_rows)


@craft("runs")
def unknown_regimes(rows, dice):
    return _with(rows, dice.choice(("regime", "regime_by_balance")), ["chaotic"] * rows.num_rows)


@craft("runs")
def columns_as_text(rows, dice):
    name = dice.choice([field.name for field in rows.schema if not pa.types.is_string(field.type)])
    return _with(rows, name, rows.column(name).cast(pa.string()))


@craft("runs")
def columns_of_other_words(rows, dice):
    return _with(rows, dice.choice(_EVERY), ["many"] * rows.num_rows, pa.string())


@craft("runs", "trajectories")
def nested_columns(rows, dice):
    name = dice.choice([name for name in rows.column_names if name != "run_id"])
    kind = dice.choice((pa.list_(pa.list_(pa.int64())), pa.struct([("a", pa.int64())]), pa.map_("string", "int64")))
    return _with(rows, name, [None] * rows.num_rows, kind)


@craft("runs", places=(BESIDE, NOBODYS))
def missing_columns(rows, dice):
    names = dice.sample([name for name in rows.column_names if name != "run_id"], dice.randint(1, 60))
    return rows.drop_columns(list({*names, "observables"}))


@craft("runs", "trajectories", places=(BESIDE,))
def only_ids(rows, dice):
    return rows.select(["run_id"])


@craft("runs", "trajectories")
def no_ids(rows, dice):
    return rows.drop_columns(["run_id"])


@craft("runs", "trajectories")
def ids_that_are_none(rows, dice):
    count = rows.num_rows
    choices = ([None] * count, [""] * count, ["nan"] * count, ["../../x"] * count, ["x" * 10**5] * count, ["a\n\x1b]"])
    ids = dice.choice(choices)
    return _with(rows, "run_id", (ids * count)[:count])


@craft("runs", "trajectories")
def ids_that_are_numbers(rows, dice):
    return _with(rows, "run_id", [float("nan")] * rows.num_rows, pa.float64())


@craft("runs", places=(NOBODYS,))
def numbers_out_of_range(rows, dice):
    name = dice.choice(("width", "replicate", "dimension", "rank", "final_step", "numerics_version", "gamma_sigma2",
                        "init_variance", "min_test_error", "elapsed_s"))  # fmt: skip
    kind = rows.schema.field(name).type
    number = dice.choice((float("nan"), float("inf"), -1e308) if pa.types.is_floating(kind) else (-1, 0, 2**31 - 1))
    return _with(rows, name, [number] * rows.num_rows)


@craft("runs", "failures", places=(NOBODYS,))
def control_characters(rows, dice):
    name = dice.choice([field.name for field in rows.schema if pa.types.is_string(field.type)])
    return _with(rows, name, ["\x1b[2J\x07\r<script>alert(1)</script>\u202e"] * rows.num_rows)


@craft("runs", "trajectories")
def text_that_is_no_utf8(rows, dice):
    name = dice.choice(("run_id", "observables"))
    offsets = np.arange(rows.num_rows + 1, dtype=np.int32) * 2
    data = pa.py_buffer(b"\xff\xfe" * rows.num_rows)
    return _with(rows, name, pa.StringArray.from_buffers(rows.num_rows, pa.py_buffer(offsets), data))


@craft("failures", places=(NOBODYS,))
def failures_without_an_error(rows, dice):
    return _one_null(rows, dice.choice(("error", "run_id", "traceback")), dice)


@craft("failures", places=(NOBODYS,))
def failures_of_a_megabyte(rows, dice):
    return _with(rows, "traceback", ["x\n" * 2**19] * rows.num_rows)


# --- Any table -------------------------------------------------------------------------------------------------------


@craft("runs", "trajectories")
def columns_twice(rows, dice):
    name = dice.choice(rows.column_names)
    return rows.append_column(rows.schema.field(name), rows.column(name))


@craft("runs", "trajectories", "failures", places=(BESIDE,))
def no_rows(rows, dice):
    return _written(rows.slice(0, 0))


@craft("runs", "trajectories", places=(BESIDE,))
def rows_many_times(rows, dice):
    return _written(pa.concat_tables([rows] * 200), row_group_size=1)


@craft("runs", "trajectories", "failures")
def more_rows_than_there_can_be(rows, dice):
    count = dice.choice((2 * 10**7, 3 * 10**6))
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [rows.column("run_id")[0].as_py()])
    return _written(pa.table({"run_id": ids}).replace_schema_metadata(rows.schema.metadata), store_schema=False)


@craft("runs", "trajectories", "failures")
def dictionary_bombs(rows, dice):
    count = 1500
    bomb = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), ["x" * 2**20])
    name = dice.choice(("run_id", "observables"))
    ids = [secrets.token_hex(10) for _ in range(count)]
    columns = {"run_id": ids, "observables": ids, name: bomb}
    return _written(pa.table(columns).replace_schema_metadata(rows.schema.metadata), store_schema=False)


@craft("trajectories")
def lists_of_zeros_without_end(rows, dice):
    """Half a gigabyte in a few kilobytes, made once: it takes seconds."""
    file = Path(tempfile.gettempdir()) / f"attack-bomb-{SCHEMA_VERSION}.parquet"
    if not file.exists():
        zeros = pa.array(np.zeros(2**27 + 1, np.float32))
        bomb = _with(rows.slice(0, 1), "singular_values", pa.ListArray.from_arrays([0, len(zeros)], zeros))
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_bytes(_written(bomb, use_dictionary=False))
        draft.rename(file)
    return file.read_bytes()


@craft("runs", "trajectories")
def metadata_of_nonsense(rows, dice):
    told = dict(rows.schema.metadata or {})
    key = dice.choice((b"linphase_schema", b"linphase_table", b"linphase_configs"))
    told[key] = dice.choice((b"", b"\xff\xfe", b"-1", "²".encode(), b"9" * 5000, b"\x1b[2J", b"runs\nruns"))
    if key == b"linphase_schema" and told[key].isdigit():
        told[key] = b"1.0"  # a newer linphase's is not for us to judge
    return rows.replace_schema_metadata(told)


@craft("runs", "trajectories")
def no_metadata(rows, dice):
    return rows.replace_schema_metadata(None)


@craft("runs", places=(NOBODYS,))  # a column that nobody declares is kept with the rows that have it
def panels_of_nonsense(rows, dice):
    told = {"meaning": "<b>x</b>\x1b[2J", "title": "$\\",
            "panel": dice.choice(("regime", "../x", "<i>", "a" * 1000, "")),
            "formula": "$\\frac{", "unit": "\x00",
            "scale": dice.choice(("log", "wild")), "colors": "no such map"}  # fmt: skip
    kind = dice.choice((pa.float64(), pa.string(), pa.bool_(), pa.list_(pa.float64())))
    values = {"double": [float("nan")], "string": ["\x07"], "bool": [None]}.get(str(kind), [None])
    field = pa.field(dice.choice(("later", "a.b", "=1+1", "\x1b[31m", "")), kind, metadata=told)
    return rows.append_column(field, pa.array(values * rows.num_rows, kind))


@craft("runs", "trajectories", "failures")
def no_parquet(rows, dice):
    whole = _written(rows)
    return dice.choice(
        (b"", b"PAR1", b"PAR1PAR1", dice.randbytes(1000), whole[:-100], whole[100:], json.dumps([]).encode())
    )


@craft("runs", "trajectories")
def bits_flipped_before_it_was_named(rows, dice):
    """What looks like damage, with the name of its content."""
    content = bytearray(_written(rows))
    for _ in range(dice.randint(1, 8)):
        content[dice.randrange(len(content) - 4000 if dice.random() < 0.7 else 0, len(content))] = dice.randrange(256)
    return b"\0" + bytes(content)


# --- Trajectories ----------------------------------------------------------------------------------------------------


@craft("trajectories")
def lists_of_wrong_lengths(rows, dice):
    name = dice.choice([field.name for field in rows.schema if pa.types.is_list(field.type)])
    values = rows.column(name).to_pylist()
    place = dice.randrange(len(values))
    # an empty one is of what the run did not measure: no run of the arena has so many moments, modes or both
    values[place] = dice.choice((values[place][:-1], [], values[place] * 2)) if values[place] else [1] * 1009
    return _with(rows, name, values)


@craft("trajectories")
def lists_that_are_null(rows, dice):
    return _one_null(rows, dice.choice([field.name for field in rows.schema if pa.types.is_list(field.type)]), dice)


@craft("trajectories")
def lists_with_nulls(rows, dice):
    name = dice.choice(("time", "step", "singular_values"))
    return _with(rows, name, [[None, *values[1:]] for values in rows.column(name).to_pylist()])


@craft("trajectories")
def modes_that_cannot_be(rows, dice):
    return _with(rows, "recorded_modes", [dice.choice((None, -1, 0, 2**31 - 1))] * rows.num_rows)


@craft("trajectories")
def lists_of_words(rows, dice):
    return _with(rows, "time", [["x"]] * rows.num_rows, pa.list_(pa.string()))
