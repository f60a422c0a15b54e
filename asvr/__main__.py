"""`python -m asvr`, as torchrun starts it."""

from asvr.cli import main

main()
