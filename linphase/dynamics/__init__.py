"""How a network trains: one module a dynamics, one class its everything. Importing the room declares them, in order."""

# isort: off
from linphase.dynamics import base, gradient_flow, gradient_descent, self_consistent, modes  # noqa: F401
