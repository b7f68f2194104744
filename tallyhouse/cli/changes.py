"""`tallyhouse changes`: who changed what."""

from itertools import islice
from typing import Annotated

import typer

from tallyhouse.cli.client import AsJson, Key, Url, every_row, open_api
from tallyhouse.cli.printing import print_rows

_COLUMNS = ("at", "action", "subject", "actor", "request_id")


def changes(
    subject: Annotated[str | None, typer.Option("--of", help="Only of this one: the id of anything.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="How many.")] = 50,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """The audit log, newest first; as JSON with what was there before and after."""
    only = {} if subject is None else {"subject": subject}
    with open_api(url, key) as api:
        rows = list(islice(every_row(api, "/v1/audit", "entries", **only), most))
        print_rows(rows, _COLUMNS, as_json=as_json, if_empty="no changes yet")
