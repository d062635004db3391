"""`linphase init`, `schema` and `cite`: the starter, the schema that editors read, and what to cite."""

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

import linphase as package
from linphase.cli import main
from linphase.config.config import load_config, parse_config
from linphase.config.grid import read_axis, write_out
from linphase.config.keys import Key, Problems, axis_keys, declared
from linphase.config.schema import SCHEMA_FILE, config_schema, config_schema_text, starter, tables
from linphase.errors import ConfigError
from linphase.model.section import Content
from tests.processes import train_here

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))
FIELDS = {table: fields for table, (_, fields) in tables().items()}
SECTIONS = {table: fields for table, fields in FIELDS.items() if table != "data"}  # which needs its files
FILES = ("task.target", "task.signal")  # keys that are read from a file of arrays, whatever its name
KEYS = {f"{table}.{name}": Key.of(field) for table, fields in SECTIONS.items() for name, field in fields.items()}
AXIS_KEYS = {name: Key.of(field) for name, field in axis_keys(declared()).items()}


def linphase(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


VALIDATOR = jsonschema.Draft7Validator(config_schema())


def accepted(config) -> bool:
    return VALIDATOR.is_valid(config)


def parses(config) -> bool:
    try:
        parse_config(config)
    except ConfigError:
        return False
    return True


# --- init ----------------------------------------------------------------------------------------------------------


def test_the_starter_sweeps_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = linphase("init", "mine")
    assert done.exit_code == 0
    assert "mine/sweep.toml" in done.output
    assert accepted(tomllib.loads((tmp_path / "mine/sweep.toml").read_text()))
    assert (tmp_path / "mine" / SCHEMA_FILE).read_text() == config_schema_text()
    fewer = ("--set", "grid.gamma_sigma2=[-2.0,-1.0]", "--set", "grid.gamma_w=[1.0,2.0]")
    swept = linphase("sweep", "--config", "mine/sweep.toml", *fewer)
    assert swept.exit_code == 0, swept.output
    assert (tmp_path / "results/my_sweep/phase_diagram.png").exists()


@pytest.mark.slow
def test_the_whole_starter_shows_all_three_regimes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert linphase("init").exit_code == 0
    found = train_here(load_config("sweep.toml"), tmp_path / "r").runs
    assert set(found["regime"].dropna()) == {"lazy", "mixed", "balanced"}
    assert set(found["status"]) == {"converged"}


def test_every_key_is_in_the_starter_with_its_default():
    everything = re.sub(r"^#(?=(?:[a-z]\w* = (?!\.\.\.)|\[data\]))", "", starter(), flags=re.MULTILINE)
    shown = tomllib.loads(everything)
    # As stored, for keys that the kind does not use are shown too.
    of_drawn = {table: keys for table, keys in shown.items() if table != "data"}
    assert parse_config(of_drawn, stored=True) == parse_config(tomllib.loads(starter()))
    for section, fields in FIELDS.items():
        unset = {name for name, field in fields.items() if field.is_required() or field.default is None}
        assert shown.get(section, {}).keys() == fields.keys() - unset
        assert all(re.search(rf"^#{name} = \.\.\.$", starter(), re.MULTILINE) for name in unset)
    assert max(map(len, starter().splitlines())) <= 120


@pytest.mark.parametrize("name", ["sweep.toml", SCHEMA_FILE])
def test_init_overwrites_nothing(tmp_path, name):
    (tmp_path / name).write_text("mine")
    done = linphase("init", tmp_path)
    assert done.exit_code == 2
    assert f"{tmp_path / name}: " in done.output
    assert "overwrites nothing" in done.output
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, "mine")]


def test_init_where_nothing_can_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    done = linphase("init", tmp_path / "file" / "below")
    assert done.exit_code == 2
    assert "Give another directory" in done.output


# --- The schema ----------------------------------------------------------------------------------------------------


def test_the_schema_in_configs_is_the_one_that_is_printed():
    printed = linphase("schema").output
    assert (ROOT / "configs" / SCHEMA_FILE).read_text() == printed, "run python docs/generate.py"
    jsonschema.Draft7Validator.check_schema(json.loads(printed))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_every_config_is_valid_and_names_the_schema(file):
    assert accepted(tomllib.loads(file.read_text()))
    assert file.read_text().splitlines()[0] == f"#:schema ./{SCHEMA_FILE}"
    load_config(file)


GOOD = {"name": "x", "grid": {"gamma_sigma2": -1.0, "gamma_w": 1.0}}


def test_every_default_is_valid():
    sections = {
        section: {
            name: field.default
            for name, field in fields.items()
            if field.default is not None and f"{section}.{name}" in parse_config(GOOD).keys
        }
        for section, fields in SECTIONS.items()
    }
    assert accepted(GOOD | sections)
    assert parses(GOOD | sections)


VALUES = [
    -1, 0, 1, 2, 5, 10**5, 2**53, 2**60, -0.5, 1e-3, 0.5, 1e9 + 0.5, True, "all", "auto", "paper", "flow", "gd",
    "modes", "converged", "none", "self_consistent", "float32", "alternating", "anything", [], [1], {}, {"paper": 5.0},
    {"paper": 0.0}, {"paper": 5.0, "more": 1},
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_value_is_valid_where_linphase_takes_it(key):
    # A key read alone: what must hold between keys the schema does not know, and 3.0 is an integer to it.
    for value in VALUES:
        taken = isinstance(value, str) if key in FILES else KEYS[key].read(value) is not None
        assert accepted(GOOD | nested(key, value)) == taken, value


def nested(key, value):
    section, _, name = key.partition(".")
    return {section: {name: value}}


AXES = [
    *VALUES, [1, 2], [0.5, 1.0], [1, 1], ["auto", 1.0], ["flow", "gd"], [True], [[1]],
    {"start": 1, "stop": 2, "num": 2}, {"start": 0.001, "stop": 0.01, "num": 3}, {"start": 1, "stop": 2},
    {"start": 1, "stop": 2, "num": 0}, {"start": 1, "stop": 2, "num": 2, "more": 1},
    {"start": "a", "stop": 2, "num": 2},
]  # fmt: skip


@pytest.mark.parametrize("key", AXIS_KEYS)
def test_an_axis_is_valid_where_linphase_takes_it(key):
    pair = {"gamma_sigma2": "init_variance", "gamma_w": "width", "init_variance": "gamma_sigma2", "width": "gamma_w"}
    for value in AXES:
        problems = Problems("x")
        axis = read_axis(value, AXIS_KEYS[key], ("grid", key), problems)
        taken = axis is not None and write_out(axis, ("grid", key), problems) is not None
        grid = {name: axis for name, axis in GOOD["grid"].items() if name not in (key, pair.get(key))}
        shapes = [{key: value}]
        if "." in key:
            shapes.append(nested(key, value))
        for shape in shapes:
            assert accepted({"name": "x", "grid": grid | shape}) == taken, (shape, problems.lines)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"name": "x"},
        {"grid": GOOD["grid"]},
        GOOD | {"name": "a b"},
        GOOD | {"task": {"dimensions": 8}},
        GOOD | {"tasks": {}},
        GOOD | {"task": 3},
        {"name": "x", "grid": {"gamma_w": 1.0}},
        {"name": "x", "grid": {"gamma_sigma2": -1.0}},
        {"name": "x", "grid": {**GOOD["grid"], "width": 3}},
        {"name": "x", "grid": {**GOOD["grid"], "record.snapshots": [3, 4]}},
        {"name": "x", "grid": {**GOOD["grid"], "run.seed": [3, 4]}},
        {"name": "x", "grid": {**GOOD["grid"], "replicates": 0}},
    ],
)
def test_what_is_wrong_for_linphase_is_wrong_for_the_schema(wrong):
    assert not parses(wrong)
    assert not accepted(wrong)


def test_data_of_ones_own_are_in_the_schema_and_what_stands_for_them_in_results_is_not():
    files = {"inputs": "X.npy", "outputs": "Y.npy", "test_inputs": "x.npy", "test_outputs": "y.npy"}
    assert accepted(GOOD | {"data": {**files, "center": True, "whiten": False}})
    assert not accepted(GOOD | {"data": {"inputs": "X.npy"}})
    assert not accepted(GOOD | {"data": {**files, "input": "X.npy"}})
    assert not accepted(GOOD | {"data": {**files, "center": 1}})
    assert not accepted(GOOD | {"task": {"data": 20 * "a"}})
    for key in FILES:
        name = key.partition(".")[2]
        assert accepted(GOOD | {"task": {name: "Y.npy"}})
        assert Content in FIELDS["task"][name].metadata


def test_every_key_says_what_it_means_and_what_it_must_be():
    for fields in FIELDS.values():
        assert all(field.title and field.description for field in fields.values())
    for entry in config_schema()["properties"]["dynamics"]["properties"].values():
        assert "Must be " in entry["description"]


# --- What to cite --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def printed():
    return linphase("cite").output


@pytest.fixture(scope="module")
def references(printed):
    """The fields of every entry, by its key."""
    entries = re.findall(r"^@\w+\{(\w+),\n(.*?)^\}$", printed, re.MULTILINE | re.DOTALL)
    return {key: dict(re.findall(r"^  (\w+) = \{(.*)\},$", fields, re.MULTILINE)) for key, fields in entries}


def test_cite_prints_every_reference_once_as_bibtex(printed, references):
    entries = printed.strip().split("\n\n")
    assert len(entries) == len(references) == 11
    for entry in entries:
        use, _, rest = entry.partition("\n")
        assert use.startswith("% ")
        assert rest.startswith("@")
        assert entry.count("{") == entry.count("}")
    assert all({"author", "title"} <= fields.keys() for fields in references.values())
    for told in ("2405.17580", "2409.14623", "Sommeijer", "Saxe", "Fukumizu", "Braun", "Fort"):
        assert told in printed
    assert references["linphase"]["version"] == package.__version__


def test_the_sources_of_the_theory_are_cited(references):
    sources = (ROOT / "docs" / "theory.md").read_text().partition("## Sources")[2].lower()
    titles = [fields["title"].lower().replace("{", "").replace("}", "") for fields in references.values()]
    for title in re.findall(r"\*([^*]+)\*, ", sources):
        assert title in titles


def test_the_citation_file_is_valid_and_says_the_same(references):
    # Required by the Citation File Format 1.2.0: cff-version, message, title, authors; of a reference: type, title,
    # authors. An author is a person or, with a name, an entity.
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cff["cff-version"] == "1.2.0"
    assert cff.keys() >= {"message", "title", "authors"}
    assert cff.keys() <= {"cff-version", "message", "type", "title", "version", "license", "authors", "keywords",
                          "references"}  # fmt: skip
    assert cff["type"] == "software"
    assert str(cff["version"]) == package.__version__
    assert cff["title"] == references["linphase"]["title"]
    for entry in (cff, *cff["references"]):
        assert entry["authors"]
        assert all("name" in author or author.keys() >= {"family-names", "given-names"} for author in entry["authors"])
    for reference in cff["references"]:
        assert reference.keys() >= {"type", "title", "authors"}
        assert isinstance(reference["year"], int)
    titles = {fields["title"].replace("{", "").replace("}", "") for fields in references.values()}
    assert {reference["title"] for reference in cff["references"]} <= titles
    paper = references["tu2024mixed"]
    assert cff["references"][0]["title"] == paper["title"]
    assert cff["references"][0]["identifiers"][0]["value"] == f"arXiv:{paper['eprint']}"
