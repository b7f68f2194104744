"""Names of time zones."""

import pytest

from schemas.errors import Invalid
from schemas.timezones import check_time_zone


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
def test_an_iana_name_is_a_time_zone(name: str) -> None:
    assert check_time_zone(name, "timezone").key == name


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "Europe", "../etc/passwd", "/etc/localtime", "a\0b", "x" * 5000])
def test_any_other_name_is_refused_with_the_field_it_came_in(name: str) -> None:
    with pytest.raises(Invalid, match=r"^settings\.timezone: .* is not a known time zone; use an IANA name") as refused:
        check_time_zone(name, "settings.timezone")
    assert refused.value.field == "settings.timezone"
    assert len(str(refused.value)) < 300
