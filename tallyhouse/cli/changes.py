"""`tallyhouse changes`: the audit log."""

from itertools import islice
from typing import Annotated

import typer

from tallyhouse.cli.client import AsJson, Key, Url, every_row, open_api
from tallyhouse.cli.printing import print_rows

_COLUMNS = ("at", "action", "subject", "actor", "request_id")


def changes(
    subject: Annotated[str | None, typer.Option("--of", help="Only changes of the object with this id.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Number of entries to show.")] = 50,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show the audit log, newest first. JSON includes the values before and after each change."""
    only = {} if subject is None else {"subject": subject}
    with open_api(url, key) as api:
        rows = list(islice(every_row(api, "/v1/audit", "entries", **only), most))
        print_rows(rows, _COLUMNS, as_json=as_json, if_empty="no changes yet")
