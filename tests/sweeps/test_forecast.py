"""The time left of a sweep."""

from math import nan

import pytest

from linphase.config.config import parse_config
from linphase.runs.training import train_spec
from linphase.sweeps.forecast import Forecast
from linphase.sweeps.plan import estimated_flops

MIXED = parse_config(
    {
        "name": "mixed",
        "task": {"rank": 2},
        "grid": {
            "gamma_sigma2": {"start": -2.0, "stop": 0.0, "num": 10},
            "gamma_w": {"start": 0.5, "stop": 2.0, "num": 10},
            "task.dimension": [16, 64],
        },
    }
)
SPECS = {spec.run_id: spec for spec in MIXED.expand()}
RATE = 1e8


class Simulated:
    """Workers that train runs one by one, each in `slower` times its estimate, on a clock of their own."""

    def __init__(self, slower=lambda spec: 1.0, workers=4, start_up=0.0, writing=0.0):
        self.now = 0.0
        self.forecast = Forecast(SPECS, workers, RATE, clock=lambda: self.now)
        self.first = self.forecast.seconds()
        self.now = start_up
        self.forecast.begin(workers)
        # In an order that is no order, as batches are shuffled.
        self.specs = sorted(SPECS.values(), key=lambda spec: spec.run_id)
        self.free, self.slower, self.writing = [start_up] * workers, slower, writing

    def told(self):
        """Share of the work done, seconds foretold, and seconds that are left in truth, at every run's end."""
        landings = []
        for spec in self.specs:
            seconds = self.slower(spec) * estimated_flops(spec) / RATE
            worker = self.free.index(min(self.free))
            self.free[worker] += seconds + self.writing
            landings.append((self.free[worker], spec.run_id, seconds))
        whole, done = sum(seconds for *_, seconds in landings), 0.0
        for self.now, run_id, seconds in sorted(landings):
            self.forecast.landed(seconds + self.writing)
            self.forecast.done(run_id, seconds)
            done += seconds
            yield done / whole, self.forecast.seconds(), max(self.free) - self.now


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("as estimated", {}),
        ("workers that are late", {"start_up": 60.0}),
        ("one worker", {"workers": 1}),
        ("eight times as long at d = 64", {"slower": lambda spec: 8.0 if spec.task.dimension == 64 else 1.0}),
        ("three times as long from weights that are large", {
            "slower": lambda spec: 3.0 if spec.initialization.gamma_sigma2 > -0.3 else 1.0}),
        ("as long again for files", {"writing": 0.5}),
    ],
)  # fmt: skip
def test_after_a_tenth_of_the_work_the_time_left_is_right_within_a_factor_of_one_and_a_half(name, how):
    ratios = [told / left for share, told, left in Simulated(**how).told() if 0.1 < share < 0.9]
    assert len(ratios) > 60
    assert max(max(ratios), 1 / min(ratios)) < 1.5, name


def test_before_any_run_is_done_the_estimate_stands_and_workers_that_are_not_there_are_no_speed():
    simulated = Simulated(start_up=60.0)
    whole = sum(map(estimated_flops, SPECS.values())) / RATE
    assert simulated.first == pytest.approx(whole / 4)
    assert simulated.forecast.seconds() == pytest.approx(whole / 4)  # a minute later, when they are there
    simulated.now += 0.1
    assert simulated.forecast.seconds() == pytest.approx(whole / 4 - 0.1)


def test_what_is_unknown_is_no_error():
    forecast = Forecast({}, 2, RATE)
    forecast.begin(2)
    forecast.done("trained again by --fill", 1.0)
    assert forecast.seconds() == 0
    failed = Forecast(SPECS, 2, RATE)
    for run_id in SPECS:
        failed.done(run_id, nan)
    assert failed.seconds() == 0


@pytest.mark.parametrize(
    ("gamma_sigma2", "width"), [(-2.5, 3), (-1.0, 13), (-1.0, 100), (0.5, 8), (0.5, 13), (0.5, 100)]
)
def test_the_evaluations_of_a_flow_are_estimated_within_a_factor_of_six(gamma_sigma2, width):
    grid = {"gamma_sigma2": gamma_sigma2, "width": width}
    (spec,) = parse_config({"name": "one", "task": {"dimension": 16, "rank": 2}, "grid": grid}).expand()
    ratio = spec.dynamics.evaluations(spec) / train_spec(spec).gradient_evaluations
    assert 1 / 6 < ratio < 6
