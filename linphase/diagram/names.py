"""What the quantities on axes are called: in figures and at the axes of pages by one table, with mathematics."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from linphase.diagram.derived import DERIVED
from linphase.diagram.looks import plainly, written


class _Name(NamedTuple):
    before_value: str  # as in "$d$ = 64"
    at_axis: str = ""  # with the word or the definition for which an axis has room, where that is not the same


_NAMES = {
    "gamma_sigma2": _Name(r"$\gamma_{\sigma^2}$", r"$\gamma_{\sigma^2} = \log_d\,\sigma^2$"),
    "gamma_w": _Name(r"$\gamma_w$", r"$\gamma_w = \log_d\,\mathrm{width}$"),
    "init_variance": _Name(r"$\sigma^2$", r"initial variance $\sigma^2$"),
    "dimension": _Name("$d$", "dimension $d$"),
    "output_dimension": _Name(r"$d_{\mathrm{out}}$", r"output dimension $d_{\mathrm{out}}$"),
    "rank": _Name("$k$", "rank $k$"),
    "noise": _Name(r"noise $\nu$"),
    "samples": _Name("samples $n$"),
    "variance_ratio": _Name(r"variance ratio $r$", r"variance ratio $r = \sigma_2^2/\sigma_1^2$"),
    "gamma_variance_ratio": _Name(r"$\gamma_r$", r"$\gamma_r = \log_d\,\sigma_2^2/\sigma_1^2$"),
    "learning_rate_ratio": _Name("rate ratio $p$", r"rate ratio $p = \epsilon_1/\epsilon_2$"),
    "richness": _Name(r"richness $\gamma$"),
    "lambda_balance": _Name(r"balance $\lambda$"),
    "weight_decay": _Name("weight decay $l$"),
    "label_noise": _Name(r"label noise $\varepsilon$"),
    "batch_size": _Name("batch size $B$"),
    "learning_rate_rule": _Name(r"learning rate $\eta$"),
    "stop_time": _Name("time at the end"),
    "c": _Name("$c$"),
    "c/s_1": _Name("$c/s_1$"),
    "n/d": _Name("$n/d$"),
    "width/d": _Name(r"$\mathrm{width}/d$"),
}


def axis_label(column: str) -> str:
    """What stands at the axis of a column or of a derived quantity."""
    if column in DERIVED:
        return DERIVED[column].label
    name = _name(column)
    return name.at_axis or name.before_value


def held_name(held: Iterable[tuple[str, Any]]) -> str:
    """What names a facet or a curve by the values held there, as in "$d$ = 64, $k$ = 4"; empty without any."""
    return ", ".join(f"{_name(column).before_value} = {written(value)}" for column, value in held)


def held_text(held: Iterable[tuple[str, Any]]) -> str:
    """The same by columns and as options are typed, for texts: "dimension = 64, rank = 4"."""
    return ", ".join(f"{column} = {plainly(value)}" for column, value in held)


def _name(column: str) -> _Name:
    return _NAMES.get(column, _Name(column.replace("_", " ")))
