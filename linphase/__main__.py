"""`python -m linphase`."""

from linphase.cli import main

main(prog_name="linphase")
