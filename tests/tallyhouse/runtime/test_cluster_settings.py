"""The settings of cluster mode."""

from pathlib import Path

import pytest

from schemas.env import HIDDEN
from schemas.errors import Misconfigured
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.environment import every_entry, read_cluster_settings, read_settings

NEEDED = {
    "TALLYHOUSE_KAFKA_BROKERS": "one:9092, two:9092",
    "TALLYHOUSE_CLICKHOUSE_URL": "http://clickhouse:8123",
    "TALLYHOUSE_LEDGER_URL": "postgresql://tally:sesame@ledger/tally",
}


def errors(**environ: str) -> tuple[str, ...]:
    with pytest.raises(Misconfigured) as caught:
        read_cluster_settings(NEEDED | {f"TALLYHOUSE_{name}": value for name, value in environ.items()})
    return caught.value.errors


def test_three_addresses_are_the_only_required_settings() -> None:
    settings = read_cluster_settings(NEEDED)
    assert settings.kafka_brokers == ("one:9092", "two:9092")
    assert (settings.kafka_replication, settings.kafka_min_insync) == (3, 2)


def test_missing_and_invalid_settings_are_reported_together() -> None:
    with pytest.raises(Misconfigured) as caught:
        read_cluster_settings({"TALLYHOUSE_GATEWAY_WORKERS": "many"})
    assert [mistake.split(":")[0] for mistake in caught.value.errors] == [
        "TALLYHOUSE_KAFKA_BROKERS",
        "TALLYHOUSE_CLICKHOUSE_URL",
        "TALLYHOUSE_LEDGER_URL",
        "TALLYHOUSE_GATEWAY_WORKERS",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA_BROKERS", "one"),
        ("KAFKA_BROKERS", "one:9092;two:9092"),
        ("KAFKA_TOPIC", "frames and more"),
        ("CLICKHOUSE_URL", "clickhouse:8123"),
        ("CLICKHOUSE_URL", "http://me:sesame@clickhouse:8123"),
        ("CLICKHOUSE_URL", "http://one:8123;http://two:8123"),
        ("CLICKHOUSE_URL", "http://one:8123,"),
        ("CLICKHOUSE_URL", "http://one:8123,http://me:sesame@two:8123"),
        ("CLICKHOUSE_DATABASE", "tally; DROP"),
        ("KAFKA_SASL", "GSSAPI"),
        ("REDIS_URL", "http://redis"),
        ("LEDGER_URL", "mysql://ledger/tally"),
        ("LEDGER_URL", "sqlite://ledger/tally"),
        ("LEDGER_URL", "postgresql://ledger"),
    ],
)
def test_an_invalid_address_is_refused(name: str, value: str) -> None:
    """At the start, not at its first use."""
    (mistake,) = errors(**{name: value})
    assert mistake.startswith(f"TALLYHOUSE_{name}: expected ")
    assert "sesame" not in mistake


def test_more_copies_in_sync_than_copies_are_refused() -> None:
    """Otherwise every post would be answered 503."""
    (mistake,) = errors(KAFKA_REPLICATION="1")
    assert "KAFKA_MIN_INSYNC is 2" in mistake


def test_a_sasl_mechanism_needs_a_user_and_a_password() -> None:
    """Otherwise every process would fail at the brokers."""
    (mistake,) = errors(KAFKA_SASL="SCRAM-SHA-512", KAFKA_USER="tally")
    assert "TALLYHOUSE_KAFKA_PASSWORD must be set too" in mistake


def test_a_store_of_several_shards_has_an_address_for_each() -> None:
    two = {"TALLYHOUSE_CLICKHOUSE_URL": "http://one:8123, http://two:8123", "TALLYHOUSE_CLICKHOUSE_CLUSTER": "tally"}
    assert read_cluster_settings(NEEDED | two).clickhouse_url == ("http://one:8123", "http://two:8123")
    assert read_cluster_settings(NEEDED).clickhouse_url == ("http://clickhouse:8123",)


def test_all_mistakes_of_the_shards_are_reported_together() -> None:
    """No cluster name, one shard twice, and more shards than partitions."""
    configuration_errors = errors(CLICKHOUSE_URL="http://one:8123,http://two:8123,http://one:8123", PARTITIONS="2")
    expected = ("names an address twice", "TALLYHOUSE_CLICKHOUSE_CLUSTER is not set", "some would stay empty")
    assert [part for part, mistake in zip(expected, configuration_errors, strict=True) if part not in mistake] == []


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    """Container platforms provide secrets this way."""
    (tmp_path / "password").write_text("sesame\n")
    settings = read_cluster_settings(NEEDED | {"TALLYHOUSE_CLICKHOUSE_PASSWORD_FILE": str(tmp_path / "password")})
    assert settings.clickhouse_password == "sesame"


def test_a_setting_that_contains_a_password_is_never_shown() -> None:
    """Such as the ledger's address."""
    settings = read_cluster_settings(NEEDED)
    shown = {entry.field: entry.show(getattr(settings, entry.field, None)) for entry in every_entry(ClusterSettings)}
    assert shown["ledger_url"] == HIDDEN
    assert "sesame" not in "".join(shown.values())


def test_one_environment_serves_both_modes() -> None:
    """A variable that only the other mode reads is valid."""
    both = NEEDED | {"TALLYHOUSE_DATA_DIR": "/data", "TALLYHOUSE_URL": "http://localhost:1"}
    assert read_settings(both).data_dir == Path("/data")
    assert read_cluster_settings(both).clickhouse_database == "tallyhouse"


def test_every_setting_has_a_meaning() -> None:
    """A sentence, for the table of the documentation."""
    entries = every_entry(ClusterSettings)
    assert [entry.variable for entry in entries if not entry.setting.meaning.endswith(".")] == []
