"""A logger as every part sees it: what happened, and the fields that tell where."""

from typing import Protocol, Self


class Logger(Protocol):
    """One line per event: a short sentence, and fields. Never hand it a secret; the adapter masks keys all the same."""

    def bind(self, **fields: object) -> Self:
        """A logger whose lines all carry these fields."""
        ...

    def debug(self, event: str, **fields: object) -> object: ...

    def info(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...

    def error(self, event: str, **fields: object) -> object: ...

    def exception(self, event: str, **fields: object) -> object:
        """An error, with the traceback of the exception being handled."""
        ...


class NullLogger:
    """Lines nobody asked for."""

    def bind(self, **fields: object) -> Self:  # noqa: ARG002 - the port's signature
        """Itself."""
        return self

    def debug(self, event: str, **fields: object) -> None:
        """Drop it."""

    def info(self, event: str, **fields: object) -> None:
        """Drop it."""

    def warning(self, event: str, **fields: object) -> None:
        """Drop it."""

    def error(self, event: str, **fields: object) -> None:
        """Drop it."""

    def exception(self, event: str, **fields: object) -> None:
        """Drop it."""
