"""The `tallyhouse` command line. Commands that need the running process query it over HTTP."""


def main() -> None:
    """Runs the `tallyhouse` command and exits with its code."""
    # Imported here: `tallyhouse.cli` and its smaller modules must not load every command.
    from tallyhouse.cli.app import run  # noqa: PLC0415

    run()
