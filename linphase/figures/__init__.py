"""Figures from stored results: phase diagrams and single runs. Tables go in, matplotlib Figures come out.

Figures are built without pyplot, so nothing global is touched and nothing needs a display. Cells are drawn as
they were run: one rectangle each, reaching half way to its neighbours, never interpolated.
"""
