"""A sweep as one HTML file to look around in: diagram, cuts and every cell's trajectory, without a network.

`tables` says what the page shows of the cells, `trajectories` what it keeps of each run over time, `page` puts both
into page.html with page.css, page.js and plotly's own script. Whatever the page only chooses or counts, it does in
JavaScript: regimes at other cuts, majorities, the cell in focus.
"""

from linphase.explore.page import build

__all__ = ["build"]
