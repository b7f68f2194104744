"""A process that creates and finalizes invoices as fast as it can, and prints each number once it is answered."""

import asyncio
import subprocess
import sys
import time

from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import migrate
from schemas.command import Command
from schemas.customer import NewCustomer
from schemas.ids import AccountId
from schemas.invoice import NewInvoice, NewLine
from tests.killable_process import KillableProcess


class FinalizingProcess(KillableProcess):
    """Finalizes invoices of the account until it is killed."""

    def __init__(self, url: str, account: AccountId) -> None:
        super().__init__()
        self._command = [sys.executable, "-m", "tests.rating.ledger.finalizing_process", url, account]

    def launch(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)

    def answered(self, count: int) -> list[str]:
        """The next numbers that it prints."""
        assert self._process is not None
        assert self._process.stdout is not None
        return [self._process.stdout.readline().strip() for _ in range(count)]


async def finalize_until_killed(url: str, account: AccountId) -> None:
    command = Command(account=account, actor="test", request_id="test")
    with open_ledger(url, lambda: time.time_ns() // 1000, prepare=migrate) as ledger:
        customer = (await ledger.customers.create(command, NewCustomer())).answer

        async def one_after_the_other() -> None:
            while True:
                new = NewInvoice(customer_id=customer.id, lines=(NewLine(unit_amount=100), NewLine(unit_amount=50)))
                draft = (await ledger.invoices.create(command, new)).answer
                final = (await ledger.invoices.finalize(command, draft.id)).answer
                print(final.number, flush=True)

        await asyncio.gather(one_after_the_other(), one_after_the_other())


if __name__ == "__main__":
    asyncio.run(finalize_until_killed(sys.argv[1], AccountId(sys.argv[2])))
