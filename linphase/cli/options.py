"""Options and output that several commands share."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linphase.cli.output import be_quiet, echo
from linphase.errors import ConfigError
from linphase.model.regime import CRITERIA, Cuts

if TYPE_CHECKING:
    from linphase.config.config import SweepConfig
    from linphase.store.results import Results

Command = Callable[..., None]

STANDARD_INPUT = "-"


def results_argument(command: Command) -> Command:
    return click.argument("results", type=click.Path(path_type=Path))(command)


def set_option(command: Command) -> Command:
    return click.option(
        "--set",
        "overrides",
        metavar="KEY=VALUE",
        multiple=True,
        help="Override a configuration key, such as task.dimension=200. Repeatable.",
    )(command)


def style_options(command: Command) -> Command:
    """--style and what else fits a figure to a paper, which reach the command as one value, `style`."""
    from linphase.figures.fitting import STYLES, WIDTHS, Style

    @wraps(command)
    def with_style(*args: Any, style: str, **others: Any) -> None:
        given = {name: others.pop(name) for name in list(others) if name in Style.__dataclass_fields__}
        if style in STYLES:
            base = STYLES[style]
        elif style.endswith(".mplstyle"):
            base = Style(sheet=style)
        else:
            raise ConfigError(f"--style: {', '.join(STYLES)} or a file FILE.mplstyle is required, found {style!r}")
        command(*args, style=replace(base, **given), **others)

    parsed = with_style
    for option in (
        click.option("--no-title", "title", flag_value=False, default=True, help="Leave titles out."),
        click.option("--font", metavar="FAMILY", help="Letters: serif, sans-serif, monospace, or an installed family."),
        click.option("--figure-height", type=float, metavar="INCHES", help="Of the whole figure."),
        click.option("--figure-width", type=Inches(WIDTHS), help="Of the whole figure; panels wrap within it."),
        click.option("--style", metavar="paper|talk|FILE.mplstyle", default="paper", show_default=True,
                     help="Sizes of a paper, larger type and lines for a talk, or a style sheet of matplotlib."),
    ):  # fmt: skip
        parsed = option(parsed)
    return parsed


def lines_options(command: Command) -> Command:
    """--no-lines and --no-names, for diagrams: fields of the style."""
    for option in (
        click.option("--no-names", "names", flag_value=False, default=True, help="Leave the names of the lines out."),
        click.option("--no-lines", "lines", flag_value=False, default=True, help="Leave theory's lines out."),
    ):
        command = option(command)
    return command


def scale_options(command: Command) -> Command:
    """--vmin, --vmax and --scale, for a panel of numbers: fields of the style."""
    for option in (
        click.option(
            "--scale", type=click.Choice(["log", "linear"]), help="Of the numbers, in place of the panel's own."
        ),
        click.option("--vmax", type=float, metavar="NUMBER", help="Upper end of the colours, or of the axis."),
        click.option("--vmin", type=float, metavar="NUMBER", help="Lower end of the colours, or of the axis."),
    ):
        command = option(command)
    return command


class Inches(click.ParamType[float | str]):
    """A number of inches, or the name of a width."""

    name = "inches"

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "|".join((*self.names, "INCHES"))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        if value in self.names:
            return str(value)
        try:
            return float(value)
        except ValueError:
            self.fail(f"{', '.join(self.names)} or a number of inches is required, found {value!r}", param, ctx)


def where_option(command: Command) -> Command:
    """--where, whose values `part` reads."""
    return click.option(
        "--where",
        metavar="KEY=VALUE",
        multiple=True,
        help="Take only the runs with this value of an axis or a column, such as task.rank=4, width=4096 or "
        "replicate=0; a number takes the nearest on its axis. Repeatable; a key may have several values.",
    )(command)


def conditions(where: Iterable[str]) -> dict[str, list[str]]:
    """--where as values by key."""
    found: dict[str, list[str]] = {}
    for each in where:
        key, equals, value = each.partition("=")
        if not (key.strip() and equals and value.strip()):
            raise ConfigError(f"--where: KEY=VALUE is required, found {each!r}. Example: --where task.rank=4")
        found.setdefault(key.strip(), []).append(value.strip())
    return found


def loaded_part(results: Path, where: Iterable[str]) -> "Results":
    """The part of a results directory that --where takes."""
    from linphase.diagram.axes import selected
    from linphase.store.results import load

    chosen = conditions(where)
    return selected(load(results), chosen)


def axes_options(command: Command) -> Command:
    """--x and --y, the axes that span the diagram."""
    which = "one of the sweep's, such as task.noise, or c, c/s_1, width/d, n/d."
    for option in (
        click.option("--y", metavar="KEY", help=f"The axis upwards: {which}"),
        click.option("--x", metavar="KEY", help=f"The axis across: {which}  [default: the first with several values]"),
    ):
        command = option(command)
    return command


def spanned(results: "Results", x: str | None, y: str | None) -> "Results":
    """The results with the axes that --x and --y name as the first two."""
    from linphase.diagram.axes import Window, span

    axes = span(results.runs, results.axes, x, y)
    if (x or y) and Window.of(axes).derived and (missing := len(results.missing())):
        echo(
            f"warning: {missing} runs are missing or failed; over axes that follow from the sweep's the place of a "
            "missing one goes to its neighbours",
            err=True,
        )
    return replace(results, axes=axes)


class _Share(click.FloatRange):
    """A number from 0 to 1; click's own range lets nan pass."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        share = float(super().convert(value, param, context))
        if share != share:
            self.fail(f"{value} is not in the range 0<=x<=1.", param, context)
        return share


class KindOption(click.Option):
    """The kinds of dynamics, looked up when their list is printed: a command that does not print it starts sooner."""

    def get_help_record(self, context: click.Context) -> tuple[str, str] | None:
        from linphase.config.keys import declared

        kinds = [name for name, each in declared()["dynamics"].items() if not getattr(each, "predicts", False)]
        self.help = f"Dynamics: {', '.join(kinds)}, or one of a plugin."
        return super().get_help_record(context)


def cuts_options(command: Command) -> Command:
    """--criterion, --signal-cut and --bulk-cut, which reach the command as one value, `cuts`."""

    @wraps(command)
    def with_cuts(*args: Any, criterion: str, signal_cut: float, bulk_cut: float, **others: Any) -> None:
        command(*args, cuts=Cuts(criterion, signal_cut, bulk_cut), **others)

    share, usual, parsed = _Share(0, 1), Cuts(), with_cuts
    for option in (
        click.option("--bulk-cut", type=share, default=usual.bulk, show_default=True,
                     help="Share of active bulk modes from which on a run is balanced."),
        click.option("--signal-cut", type=share, default=usual.signal, show_default=True,
                     help="Share of active signal modes below which a run is lazy."),
        click.option("--criterion", type=click.Choice(list(CRITERIA)), default=usual.criterion, show_default=True,
                     help="Which modes are active: s_i > c, or by mode balance or mode speed-up."),
    ):  # fmt: skip
        parsed = option(parsed)
    return parsed


def out_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """--out, which has no fixed default."""
    return click.option("--out", type=click.Path(path_type=Path), help=f"Results directory.  {default}")


def config_options(command: Command) -> Command:
    """[CONFIG] and --config, which reach the command as one value, `config_file`; None where neither is given."""

    @wraps(command)
    def with_config(*args: Any, config: Path | None, config_file: Path | None, **others: Any) -> None:
        if config is not None and config_file is not None:
            raise ConfigError(
                f"--config: one configuration is required, found {str(config)!r} and {str(config_file)!r}. Leave one "
                "of them out"
            )
        command(*args, config_file=config or config_file, **others)

    a_file = click.Path(path_type=Path, allow_dash=True)
    option = click.option("--config", "config_file", type=a_file, help="The same as CONFIG.")
    return click.argument("config", metavar="[CONFIG]", required=False, type=a_file)(option(with_config))


def read_config(config_file: Path | None, overrides: Iterable[str]) -> "SweepConfig":
    """The configuration of a file, or of standard input, from which paths are relative to the working directory.

    Raises ConfigError where none is named, or it is none.
    """
    from linphase.config.config import load_config, parse_config
    from linphase.config.toml import tables_of

    if config_file is None:
        raise ConfigError("CONFIG: a TOML file is required, found none. linphase init writes one to begin with")
    if str(config_file) != STANDARD_INPUT:
        return load_config(config_file, overrides)
    return parse_config(tables_of(sys.stdin.buffer.read(), "standard input"), "standard input", overrides)


jobs_option = click.option(
    "--jobs", type=click.IntRange(min=1), help="Worker processes.  [default: SLURM_CPUS_PER_TASK, else one a core]"
)

scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS", help="Train on the workers of this Dask scheduler, such as tls://HOST:8786."
)


def _be_quiet(context: click.Context, _: click.Parameter, quiet: bool) -> bool:
    if quiet:
        be_quiet(context)
    return quiet


quiet_option = click.option("-q", "--quiet", is_flag=True, callback=_be_quiet, help="Print warnings and errors only.")

retry_option = click.option("--retry-failed", is_flag=True, help="Run again what failed in an earlier sweep.")

max_time_option = click.option(
    "--max-time",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="End every run that takes longer; it keeps what it has, with the status step_limit.",
)
