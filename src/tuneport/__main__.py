"""`python -m tuneport` is the command line."""

from tuneport.cli.app import main

main()
