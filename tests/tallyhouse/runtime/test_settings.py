"""The settings of embedded mode."""

import pytest

from schemas.errors import Misconfigured
from schemas.timestamps import DAY, MINUTE
from tallyhouse.runtime.environment import every_entry, read_client_settings, read_settings
from tallyhouse.runtime.settings import ClientSettings, EmbeddedSettings


def test_defaults_need_no_environment() -> None:
    """`make up` works with nothing set."""
    settings = read_settings({})
    assert settings == EmbeddedSettings()
    assert (settings.port, settings.event_max_age, settings.event_max_ahead) == (8787, 35 * DAY, 5 * MINUTE)


def test_every_default_is_a_valid_value() -> None:
    """`tallyhouse settings` prints defaults that can be pasted into an environment."""
    for entry in every_entry():
        if entry.default is not None:
            assert entry.setting.kind.parse(entry.setting.kind.show(entry.default)) == entry.default


def test_server_and_commands_share_one_environment() -> None:
    """A variable that only the other one reads is valid."""
    environ = {"TALLYHOUSE_URL": "http://localhost:1", "TALLYHOUSE_PORT": "1"}
    assert read_settings(environ).port == 1
    assert read_client_settings(environ) == ClientSettings(url="http://localhost:1")


def test_an_age_beyond_the_seen_keys_is_refused() -> None:
    """Events are counted exactly once only as far back as seen keys reach."""
    with pytest.raises(Misconfigured, match="TALLYHOUSE_EVENT_MAX_AGE: expected a duration from 1m to 35d"):
        read_settings({"TALLYHOUSE_EVENT_MAX_AGE": "36d"})


def test_every_setting_has_a_meaning() -> None:
    """A sentence, for the table of the documentation."""
    assert [entry.variable for entry in every_entry() if not entry.setting.meaning.endswith(".")] == []
