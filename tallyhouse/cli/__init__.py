"""`tallyhouse`: the commands. Those that need the running process ask it over HTTP."""

from tallyhouse.cli.app import main

__all__ = ["main"]
