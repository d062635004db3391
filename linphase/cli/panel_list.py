"""The list of panels that `linphase plot --help` ends with."""

from collections.abc import Iterator
from typing import Any

import click

# The figures of `linphase.figures.drawing`, whose import takes as long as matplotlib's; a test holds the two equal.
FIGURE_WORDS = {
    "boundaries": "the regimes with the measured boundaries",
    "evidence": "the regimes by each criterion of active, and where they part",
    "collapse": "speed-up of every mode over its singular value by the threshold",
    "trajectories": "singular values over time of some cells or a single one",
    "three-regimes": "errors and singular values over time, a cell of each regime",
    "all": "the six panels that tell most",
}


class PanelsCommand(click.Command):
    """A command whose help lists every panel and figure by group."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(context, formatter)
        for group, rows in panel_groups():
            with formatter.section(f"Panels, {group}"):
                formatter.write_dl(rows)


def panel_groups() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Name and title of every panel there is now, by group; the figures of their own come last."""
    from linphase.diagram.panels import Panel, known_panels

    groups: dict[str, list[tuple[str, str]]] = {}
    for one in known_panels().values():
        groups.setdefault(one.group, []).append((one.name, " ".join(one.title.split())))
    others: Any = groups.pop(Panel.group, None)
    yield from groups.items()
    if others:
        yield Panel.group, others
    yield "figures of their own", list(FIGURE_WORDS.items())
