"""The whole way in one process: events in, an audited invoice out."""

from pathlib import Path

from tests.e2e.billing_scenario import bill_and_audit
from tests.server_process import ServerProcess


def test_events_become_an_invoice_that_an_audit_finds_right(tmp_path: Path) -> None:
    """Posted twice and late, billed once, priced to the cent, counted anew: no difference."""
    with ServerProcess(tmp_path / "data") as server:
        bill_and_audit(server)
        assert server.stop() == 0
