"""Reads the environment into settings. All errors are reported together; a secret may lie in a file."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from schemas.env import R, SettingEntry, catalogue, read, variables
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.settings import PREFIX, ClientSettings, EmbeddedSettings

_RECORDS: tuple[type[msgspec.Struct], ...] = (EmbeddedSettings, ClusterSettings, ClientSettings)
_KNOWN_VARIABLES = frozenset(variable for record in _RECORDS for variable in variables(record, PREFIX))
"""One environment may serve every command, so a variable that another command reads is valid."""


def process_environment() -> Mapping[str, str]:
    """The environment of this process as it is now: the only reader of it in the program."""
    return dict(os.environ)


def every_entry(service: type[msgspec.Struct] = EmbeddedSettings) -> tuple[SettingEntry, ...]:
    """Returns the settings of a mode, those of the client commands last."""
    return catalogue(service, PREFIX) + catalogue(ClientSettings, PREFIX)


_OF_A_CLUSTER = tuple(f"{PREFIX}{name}" for name in ("KAFKA_", "LEDGER_", "CLICKHOUSE_URL"))


def is_cluster(environ: Mapping[str, str]) -> bool:
    """True if a variable is set that only a cluster's processes need."""
    return any(name.startswith(_OF_A_CLUSTER) and value for name, value in environ.items())


def read_settings(environ: Mapping[str, str]) -> EmbeddedSettings:
    """Raises Misconfigured with every error."""
    return _read(EmbeddedSettings, environ)


def read_cluster_settings(environ: Mapping[str, str]) -> ClusterSettings:
    """Raises Misconfigured with every error."""
    return _read(ClusterSettings, environ)


def read_client_settings(environ: Mapping[str, str]) -> ClientSettings:
    """Raises Misconfigured with every error."""
    return _read(ClientSettings, environ)


def _read(record: type[R], environ: Mapping[str, str]) -> R:
    return read(record, PREFIX, environ, read_file=_read_text, other_variables=_KNOWN_VARIABLES)


def _read_text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
