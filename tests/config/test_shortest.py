"""A configuration as short as a user would write it sweeps to the same ids."""

import tomllib
from pathlib import Path

import pytest

from linphase.config.config import load_config, parse_config
from linphase.config.shortest import shortest_toml
from linphase.config.toml import config_toml

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_it_sweeps_to_the_same_ids_and_is_shorter(file):
    config = load_config(file)
    text = shortest_toml(config.resolved())
    assert parse_config(tomllib.loads(text)).digest == config.digest
    assert len(text) < len(config_toml(config.resolved()))


def test_defaults_are_left_out_but_those_of_the_task_and_spaced_values_are_their_ends():
    grid = {"gamma_sigma2": {"start": -3.0, "stop": 0.0, "num": 7}, "gamma_w": [0.0, 1.0, 1.7]}
    config = parse_config({"name": "short", "task": {"rank": 3}, "grid": grid, "run": {"seed": 5}})
    told = tomllib.loads(shortest_toml(config.resolved()))
    assert told.pop("task").items() >= {"dimension": 64, "rank": 3}.items()
    assert told == {"name": "short", "grid": grid, "run": {"seed": 5}}


def test_what_is_read_with_files_of_the_users_is_written_whole():
    resolved = parse_config({"name": "p", "grid": {"gamma_sigma2": [-1.0, 0.0], "gamma_w": [1.0, 2.0]}}).resolved()
    plugged = {**resolved, "plugins": {"my.py": "0" * 16}}
    assert shortest_toml(plugged) == config_toml(plugged)


def test_keys_in_forms_that_are_no_number_keep_their_ids():
    rates = ["auto", 1e-5, {"paper": 5.0}]
    grid = {"gamma_sigma2": -1.0, "gamma_w": [1.0, 2.0], "dynamics.learning_rate": rates}
    config = parse_config({"name": "rates", "grid": grid, "dynamics": {"kind": "gd"}})
    assert parse_config(tomllib.loads(shortest_toml(config.resolved()))).digest == config.digest
