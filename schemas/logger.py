"""The logger port, and a logger that drops everything."""

from typing import Protocol, Self


class Logger(Protocol):
    """One line per occurrence: a short sentence, and fields. Never log a secret, though the adapter masks API keys."""

    def bind(self, **fields: object) -> Self:
        """A logger that adds these fields to each of its lines."""
        ...

    def debug(self, event: str, **fields: object) -> object: ...

    def info(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...

    def error(self, event: str, **fields: object) -> object: ...

    def exception(self, event: str, **fields: object) -> object:
        """An error, with the traceback of the exception being handled."""
        ...


class NullLogger:
    """Drops every line."""

    def bind(self, **fields: object) -> Self:  # noqa: ARG002 - the port's signature
        return self

    def debug(self, event: str, **fields: object) -> None:
        pass

    def info(self, event: str, **fields: object) -> None:
        pass

    def warning(self, event: str, **fields: object) -> None:
        pass

    def error(self, event: str, **fields: object) -> None:
        pass

    def exception(self, event: str, **fields: object) -> None:
        pass
