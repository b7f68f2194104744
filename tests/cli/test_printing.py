"""Tables on a narrow screen: what names a row is never cut, for it is what other commands are given."""

import pytest

from ingest_gateway.cli.printing import print_rows

ID = "cm5x9z8nv0000h85r7l9p2k1m"


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_the_name_of_a_row_stays_whole(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many columns stand beside it; nothing of the others is left out either."""
    monkeypatch.setenv("COLUMNS", width)
    row = {"id": ID, "name": "Acme Corporation", "email": "billing@acme.example", "created_at": "2026-11-26T11:31:00Z"}
    print_rows([row], list(row), as_json=False)
    told = capsys.readouterr().out
    assert ID in told
    assert "…" not in told
