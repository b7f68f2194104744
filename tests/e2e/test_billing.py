"""From events to audited invoices, on embedded mode."""

from pathlib import Path

from tests.e2e.billing_scenario import bill_and_audit
from tests.server_process import ServerProcess


def test_events_become_invoices_that_their_audits_confirm(tmp_path: Path) -> None:
    """Events are posted twice and late, billed once, priced to the cent, and recounted without a difference."""
    with ServerProcess(tmp_path / "data") as server:
        bill_and_audit(server)
        assert server.stop() == 0
