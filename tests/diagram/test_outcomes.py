"""Regimes again from stored order parameters."""

import pandas as pd
import pytest

from linphase.diagram.outcomes import OUTCOMES, outcomes
from linphase.errors import LinphaseError
from linphase.model.regime import Cuts


def table(*rows):
    common = {"status": "converged", "width": 100, "rank": 4, "noise": 1.0}
    runs = pd.DataFrame([common | row for row in rows])
    for measure in ("balance", "speedup"):
        for part in ("signal", "bulk"):
            column = f"{part}_active_by_{measure}"
            if column not in runs:
                runs[column] = runs[f"{part}_active"]
    return runs


def test_outcomes_are_the_regimes_where_there_is_one_and_a_word_elsewhere():
    runs = table(
        {"signal_active": 0.25, "bulk_active": 0.0},
        {"signal_active": 0.5, "bulk_active": 0.49},
        {"signal_active": 1.0, "bulk_active": 0.5},
        {"signal_active": 1.0, "bulk_active": None, "width": 4},
        {"signal_active": 1.0, "bulk_active": 1.0, "noise": 0.0},
        {"signal_active": 0.5, "bulk_active": None, "width": 2},
        {"signal_active": None, "bulk_active": None, "status": "diverged"},
        {"signal_active": None, "bulk_active": None, "status": "failed"},
        {"signal_active": None, "bulk_active": None},
        {"signal_active": 0.0, "bulk_active": 0.0, "status": "step_limit"},
    )
    found = outcomes(runs)
    assert found.tolist() == [
        "lazy", "mixed", "balanced", "balanced", "mixed",
        "underparameterized", "diverged", "failed", "undefined", "lazy",
    ]  # fmt: skip
    assert set(found) <= set(OUTCOMES)
    assert found.index.equals(runs.index)


def test_another_measure_and_other_cuts_change_the_outcome():
    runs = table({"signal_active": 1.0, "bulk_active": 0.6, "bulk_active_by_balance": 0.1})
    assert outcomes(runs).item() == "balanced"
    assert outcomes(runs, cuts=Cuts(criterion="balance")).item() == "mixed"
    assert outcomes(runs, cuts=Cuts(criterion="speedup", bulk=0.7)).item() == "mixed"
    fewer = table({"signal_active": 0.75, "bulk_active": 0.6})
    assert outcomes(fewer, cuts=Cuts(signal=0.8)).item() == "lazy"


def test_an_unknown_measure_is_refused_and_an_empty_table_stays_empty():
    runs = table({"signal_active": 1.0, "bulk_active": 0.6})
    with pytest.raises(LinphaseError, match="criterion: must be one of threshold, balance, speedup"):
        outcomes(runs, cuts=Cuts(criterion="kernel"))
    assert outcomes(runs.iloc[:0]).empty
