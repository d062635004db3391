"""The network, the task and what is measured of them: pure functions."""
