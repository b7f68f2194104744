"""`tallyhouse keys`: who may do what."""

from typing import Annotated

import typer

from schemas.account import Mode, Scope
from schemas.errors import Invalid
from schemas.timestamps import to_iso
from schemas.units import parse_duration
from tallyhouse.cli.client import AsJson, Key, Url, every_row, open_api
from tallyhouse.cli.printing import print_json, print_rows
from tallyhouse.runtime.clock import now

_COLUMNS = ("id", "name", "mode", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")


def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[Scope], typer.Option("--scope", help="What it may do; give it several times.")],
    mode: Annotated[Mode | None, typer.Option("--mode", help="Live or test; else as the key you use.")] = None,
    expires_in: Annotated[
        str | None, typer.Option("--expires-in", help="How long it is good, such as 90d; else for ever.")
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its secret is shown this once."""
    body = {
        "name": name,
        "scopes": [each.value for each in scope],
        **({"mode": mode.value} if mode else {}),
        **({"expires_at": _from_now(expires_in)} if expires_in else {}),
    }
    with open_api(url, key) as api:
        made = api.post("/v1/keys", body)["api_key"]
    if as_json:
        print_json(made)
    else:
        typer.echo(made["token"])


def _from_now(duration: str) -> str:
    try:
        return to_iso(now() + parse_duration(duration))
    except (ValueError, OverflowError):
        raise Invalid(f"--expires-in: expected a duration such as 90d, 12h or 30m, got {duration!r}") from None


def list_(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """All keys of the account, revoked ones too."""
    with open_api(url, key) as api:
        print_rows(list(every_row(api, "/v1/keys", "api_keys")), _COLUMNS, as_json=as_json)


def revoke(
    key_id: Annotated[str, typer.Argument(help="The id that `tallyhouse keys list` shows.")],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """End a key, at once and for ever."""
    with open_api(url, key) as api:
        print_rows([api.post(f"/v1/keys/{key_id}/revoke", {})["api_key"]], _COLUMNS, as_json=as_json)


def bootstrap() -> None:
    """Make the first admin key of a cluster, in its ledger. Its secret is shown this once."""
    # Only here: it loads what no other of these commands needs.
    from tallyhouse.cluster.provisioning import run_bootstrap  # noqa: PLC0415

    typer.echo(run_bootstrap())


def commands() -> typer.Typer:
    """The group."""
    group = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
    group.command("create")(create)
    group.command("list")(list_)
    group.command("revoke")(revoke)
    group.command("bootstrap")(bootstrap)
    return group
