"""`python -m tallyhouse` runs the `tallyhouse` command."""

from tallyhouse.cli import main

if __name__ == "__main__":
    main()
