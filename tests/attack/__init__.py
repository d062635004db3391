"""Attacks on results directories, for as long as a reader likes: `python -m tests.attack --minutes 10`.

Each attack is one function with the decorator `attack` of tests/attack/registry.py; what must hold after every one of
them is tests/attack/invariant.py. A sweep here has eight runs of a millisecond's work, and a command is a fork of a
process that has linphase imported, so that a real `kill -9` of a real command takes a tenth of a second.
"""
