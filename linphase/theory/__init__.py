"""Closed forms: one mode, the whole matrix, a cell of the diagram, its boundaries."""
