"""`tallyhouse keys`: create, list and revoke API keys."""

from typing import Annotated

import typer

from schemas.account import Mode, Scope
from schemas.errors import Invalid
from schemas.timestamps import LAST_YEAR, to_iso
from schemas.units import parse_duration
from tallyhouse.cli.client import AsJson, Key, Url, every_row, open_api
from tallyhouse.cli.moments import checked_moment
from tallyhouse.cli.printing import print_json, print_rows
from tallyhouse.runtime.clock import now
from tallyhouse.runtime.environment import is_cluster, process_environment, read_settings

_COLUMNS = ("id", "name", "mode", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")


def create(
    name: Annotated[str, typer.Argument(help="A name that states the key's purpose.")],
    scope: Annotated[list[Scope], typer.Option("--scope", help="What the key permits. May be repeated.")],
    mode: Annotated[
        Mode | None, typer.Option("--mode", help="Live or test. Default: the mode of the key in use.")
    ] = None,
    expires_in: Annotated[
        str | None,
        typer.Option("--expires-in", help="How long the key is valid, such as 90d. Default: without an end."),
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Create a key. Prints its secret, which is never shown again."""
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
        return checked_moment("--expires-in", to_iso(now() + parse_duration(duration)))
    except (ValueError, Invalid):
        raise Invalid(
            f"--expires-in: expected a duration such as 90d, 12h or 30m that ends before {LAST_YEAR + 1}, "
            f"got {duration!r}"
        ) from None


def list_(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List all keys of the account, including revoked ones."""
    with open_api(url, key) as api:
        print_rows(list(every_row(api, "/v1/keys", "api_keys")), _COLUMNS, as_json=as_json)


def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `tallyhouse keys list` shows it.")],
    force: Annotated[
        bool, typer.Option("--force", help="Revoke even the last admin key: no key can then create another.")
    ] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key at once. Cannot be undone."""
    with open_api(url, key) as api:
        revoked = api.post(f"/v1/keys/{key_id}/revoke{'?force=true' if force else ''}", {})["api_key"]
        print_rows([revoked], _COLUMNS, as_json=as_json)


def bootstrap(
    force: Annotated[bool, typer.Option("--force", help="Create it even though another admin key works.")] = False,
) -> None:
    """Create an admin key in the ledger itself, when there is none or none works. Prints its secret.

    Needs no key and no running process: only the settings of the cluster, or the data directory. A key in
    TALLYHOUSE_BOOTSTRAP_API_KEY is installed instead of a new one.
    """
    # Imported here: no other command of this group needs them.
    environ = process_environment()
    if is_cluster(environ):
        from tallyhouse.cluster.provisioning import run_make_admin_key  # noqa: PLC0415

        token = run_make_admin_key(force=force)
    else:
        from tallyhouse.embedded.admin_key import make_admin_key  # noqa: PLC0415

        token = make_admin_key(read_settings(environ), now, force=force)
    typer.echo(token or "the key in TALLYHOUSE_BOOTSTRAP_API_KEY is installed as an admin key")


def commands() -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.")
    group.command("create")(create)
    group.command("list")(list_)
    group.command("revoke")(revoke)
    group.command("bootstrap")(bootstrap)
    return group
