"""``python -m robatch``: the command."""

from robatch.cli import main

main(prog_name="robatch")
