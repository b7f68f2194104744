"""The environment, read once at the start into settings: every mistake told at once, secrets from files too."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from schemas.env import R, SettingEntry, catalogue, read, variables
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.settings import PREFIX, ClientSettings, EmbeddedSettings

_RECORDS: tuple[type[msgspec.Struct], ...] = (EmbeddedSettings, ClusterSettings, ClientSettings)
_KNOWN_VARIABLES = frozenset(variable for record in _RECORDS for variable in variables(record, PREFIX))
"""One environment may serve every command: what another one reads is no mistake."""


def every_entry(service: type[msgspec.Struct] = EmbeddedSettings) -> tuple[SettingEntry, ...]:
    """All settings of a mode, those of the commands last."""
    return catalogue(service, PREFIX) + catalogue(ClientSettings, PREFIX)


def read_settings(environ: Mapping[str, str]) -> EmbeddedSettings:
    """Raises Misconfigured with every mistake."""
    return _read(EmbeddedSettings, environ)


def read_cluster_settings(environ: Mapping[str, str]) -> ClusterSettings:
    """Raises Misconfigured with every mistake."""
    return _read(ClusterSettings, environ)


def read_client_settings(environ: Mapping[str, str]) -> ClientSettings:
    """Raises Misconfigured with every mistake."""
    return _read(ClientSettings, environ)


def _read(record: type[R], environ: Mapping[str, str]) -> R:
    return read(record, PREFIX, environ, read_file=_read_text, other_variables=_KNOWN_VARIABLES)


def _read_text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
