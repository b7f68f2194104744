"""`python -m tallyhouse` is `tallyhouse`."""

from tallyhouse.cli import main

if __name__ == "__main__":
    main()
