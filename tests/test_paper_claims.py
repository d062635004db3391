"""The table of benchmarks.paper_claims on made data; nothing is trained here."""

from functools import partial
from math import log
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.claim_sweeps import DIMENSIONS, GAMMA_W, SWEEPS
from benchmarks.claims import CONFIRMED, LATER, REFUTED, Claim, converges, exponent
from benchmarks.estimates import line, mean, share
from benchmarks.paper_claims import page, table


def test_a_share_has_the_interval_of_clopper_and_pearson():
    for successes, trials in [(0, 7), (7, 7), (3, 11), (1614, 1615), (1615, 1615)]:
        expected = stats.binomtest(successes, trials).proportion_ci(0.95, "exact")
        found = share(successes, trials)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_a_mean_has_the_interval_of_student():
    draws = np.random.default_rng(0).standard_normal(6)
    expected = stats.ttest_1samp(draws, 0).confidence_interval(0.95)
    assert (mean(draws).low, mean(draws).high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def drawn(rng, slope, bend=0.0):
    """ln of a quantity at every d, whose relative spread falls as d^-1/2, as that of the signal's norm does."""
    x = {d: log(d) for d in DIMENSIONS}
    middle = np.mean(list(x.values()))
    return list(x.values()), [
        slope * x[d] + bend * (x[d] - middle) ** 2 + rng.standard_normal(n) * d**-0.5 for d, n in DIMENSIONS.items()
    ]


def test_a_line_recovers_the_slope_and_its_interval_covers_it():
    rng = np.random.default_rng(1)
    found = [line(*drawn(rng, -0.5)) for _ in range(500)]
    assert np.mean([each.value for each in found]) == pytest.approx(-0.5, abs=0.003)
    # Three standard errors of 500 repetitions.
    assert np.mean([each.meets(-0.5) for each in found]) == pytest.approx(0.95, abs=0.03)


def test_the_interval_of_a_bent_line_is_that_of_its_draws():
    straight, bent = (line(*drawn(np.random.default_rng(2), -0.5, bend)) for bend in (0, 0.3))
    assert bent.high - bent.low == pytest.approx(straight.high - straight.low, rel=1e-9)


def runs(slope, total=0.75, status="converged"):
    rng = np.random.default_rng(3)
    rows = [
        {
            "dimension": d, "replicate": r, "gamma_sigma2": total - GAMMA_W, "gamma_w": GAMMA_W, "status": status,
            "min_test_error": d**slope * np.exp(0.1 * d**-0.5 * rng.standard_normal()), "elapsed_s": 0.5,
        }
        for d, n in DIMENSIONS.items()
        for r in range(n)
    ]  # fmt: skip
    return SimpleNamespace(runs=pd.DataFrame(rows))


@pytest.mark.parametrize(
    ("trained", "predicted", "expected"), [(-0.5, -0.1, CONFIRMED), (-0.1, -0.1, LATER), (-0.1, -0.5, REFUTED)]
)
def test_an_exponent_is_confirmed_at_its_limit_and_later_where_the_closed_form_is_there_too(
    trained, predicted, expected
):
    sweeps = {"dimension": runs(trained), "dimension-theory": runs(predicted)}
    found = exponent("min_test_error", 0.75, -0.5, sweeps)
    assert found.estimate.value == pytest.approx(trained, abs=0.01)
    assert found.verdict == expected


def test_the_table_and_the_page_have_a_row_for_every_claim():
    sweeps = {"dimension": runs(-0.5), "dimension-theory": runs(-0.5), "window": runs(0, status="step_limit")}
    measure = partial(exponent, "min_test_error", 0.75, -0.5)
    every = [Claim("A | B", "exponent", "far", measure), Claim("It converges", "share", "one does not", converges)]
    rows = table([(claim, claim.measure(sweeps)) for claim in every])
    count = sum(DIMENSIONS.values())
    assert rows["runs"].tolist() == [count, 2 * count]
    assert rows["cpu_s"].tolist() == pytest.approx([count / 2, count])
    assert rows["verdict"].tolist() == [CONFIRMED, REFUTED]
    assert rows["value"].iloc[1] == 0.5
    text = page(rows, 2 * count, 1.0, 2.0)
    assert "2 claims: 1 confirmed, 0 not at this d, 1 refuted" in text
    assert len([each for each in text.splitlines() if each.startswith("| A \\| B |")]) == 1


def test_the_sweeps_are_valid_and_small_enough():
    configs = [config for name, each in SWEEPS.items() if name != "crossing" for config in each()]  # has a plugin
    assert 3000 < sum(config.runs for config in configs) < 8000
    assert all(config.run.independent_dimensions for config in configs)
