"""What the processes of a cluster on this machine are told: settings of yours, and the addresses we chose."""

from collections.abc import Mapping

from tallyhouse.runtime.settings import PREFIX

_OURS = ("KAFKA_", "CLICKHOUSE_", "LEDGER_URL", "WORKER_GROUP", "GATEWAY_WORKERS")
"""What tells of other servers has no meaning here."""

_SINGLE = {"KAFKA_REPLICATION": "1", "KAFKA_MIN_INSYNC": "1"}


def cluster_environment(environ: Mapping[str, str], *, brokers: str, clickhouse: str, ledger: str) -> Mapping[str, str]:
    """The environment of every process of this cluster."""
    ours = tuple(f"{PREFIX}{name}" for name in _OURS)
    yours = {name: value for name, value in environ.items() if not name.startswith(ours)}
    overrides = {"KAFKA_BROKERS": brokers, "CLICKHOUSE_URL": clickhouse, "LEDGER_URL": ledger, **_SINGLE}
    return yours | {f"{PREFIX}{name}": value for name, value in overrides.items()}


def child_environment(environ: Mapping[str, str], **overrides: object) -> Mapping[str, str]:
    """The same with what differs from process to process."""
    return {**environ, **{f"{PREFIX}{name}": str(value) for name, value in overrides.items()}}
