"""`python -m vtlab`: the command line."""

from vtlab.cli import main

main()
