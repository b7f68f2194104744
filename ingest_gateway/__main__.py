"""`python -m ingest_gateway` is `tallyhouse`."""

from ingest_gateway.cli import main

if __name__ == "__main__":
    main()
