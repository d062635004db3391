"""How a network trains: one module a dynamics, each an iterator of states (time, step, weights)."""
