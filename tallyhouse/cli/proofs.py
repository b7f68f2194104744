"""Proofs as a person reads them: what was sent beside what was counted."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tallyhouse.load.proof import MeterProof


def print_proofs(console: Console, proofs: Sequence[MeterProof]) -> None:
    """A row for each meter, and below, what differs."""
    table = Table("meter", "values compared", "sent", "counted", "", box=None)
    for proof in proofs:
        verdict = "[red]differs[/]" if proof.differences else "[green]equal[/]"
        table.add_row(proof.meter, f"{proof.values:,}", f"{proof.expected:,f}", f"{proof.found:,f}", verdict)
    console.print(table)
    for proof in proofs:
        for difference in proof.differences:
            console.print(f"{proof.meter}: {difference}")
