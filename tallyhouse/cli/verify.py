"""`tallyhouse verify`: compares usage with a recount from the raw events, while events arrive."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from schemas.errors import Overloaded
from schemas.moments import EventMoment, parse_moment
from schemas.timestamps import DAY, to_iso
from tallyhouse.cli.client import ApiClient, AsJson, Url, find_key, find_url
from tallyhouse.cli.moments import checked_moment
from tallyhouse.cli.printing import print_json, print_rows
from tallyhouse.runtime.clock import monotonic, now, sleep
from tallyhouse.runtime.exit_codes import FAILED

_DAYS = "/v1/usage/verification/days"
_PART = "/v1/usage/verification"
_COLUMNS = ("account", "meter", "customer_id", "window_start", "group", "counted", "recounted", "detail")
_RUN_EVENTS = 200_000
"""Consecutive days of a meter are compared together up to this number of events."""
_ATTEMPTS = 5
_PAUSE_SECONDS = 2.0


class MeterDays(NamedTuple):
    """Consecutive days of a meter, and how many events they have."""

    meter: str
    start: int
    end: int
    events: int


class Summary(NamedTuple):
    """What was compared."""

    events: int = 0
    seconds: float = 0.0
    difference_count: int = 0
    differences: tuple[dict[str, Any], ...] = ()
    skipped: tuple[str, ...] = ()

    def with_part(self, part: dict[str, Any], meter: str, shown: int) -> "Summary":
        reason = part["skipped"]
        skipped = (f"meter {meter}: {reason}",) if reason else ()
        return self._replace(
            events=self.events + part["events"],
            difference_count=self.difference_count + part["difference_count"],
            differences=(*self.differences, *part["differences"])[:shown],
            skipped=tuple(dict.fromkeys((*self.skipped, *skipped))),
        )


def verify(
    meter: Annotated[
        list[str] | None, typer.Option("--meter", help="Only this meter. May be repeated. Default: all.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Start, in ISO 8601 at a whole minute. Default: the first usage.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="End, in ISO 8601 at a whole minute. Default: everything counted so far.")
    ] = None,
    rate: Annotated[
        int, typer.Option("--rate", min=0, help="Events to recount per second, at most, on average. 0: no limit.")
    ] = 100_000,
    show: Annotated[int, typer.Option("--show", min=0, help="How many differences to list.")] = 50,
    url: Url = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            help="API key with the scope admin: its account is verified. May be repeated, for several accounts. "
            "Default: TALLYHOUSE_API_KEY, or the key file in the data directory.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recount usage from the raw events and compare. Exit code 1 if anything differs.

    Each part is exact while events arrive. An event counts once for each meter that it is recounted for.
    """
    since = checked_moment("--from", start or to_iso(0), EventMoment)
    until = checked_moment("--to", end or to_iso(now() // DAY * DAY + 3 * DAY), EventMoment)
    summary = Summary()
    began = monotonic()
    with Progress(console=Console(stderr=True, quiet=as_json), transient=True) as progress:
        for token in key or [find_key(None)]:
            with ApiClient(find_url(url), token) as api:
                runs = list(_runs(api.get(_DAYS, **{"from": since, "to": until})["days"], meter, since, until))
                task = progress.add_task("events recounted", total=sum(run.events for run in runs) or None)
                for run in runs:
                    summary = _verify_run(api, run, summary, show, progress, task)
                    if rate:
                        sleep(max(summary.events / rate - (monotonic() - began), 0))
    _report(summary._replace(seconds=monotonic() - began), as_json=as_json)


def _runs(days: Sequence[dict[str, Any]], meters: Sequence[str] | None, since: str, until: str) -> Iterator[MeterDays]:
    """The days of the chosen meters, consecutive ones together up to a size."""
    first, last = parse_moment(since, EventMoment), parse_moment(until, EventMoment)
    run: MeterDays | None = None
    for day in days:
        if meters and day["meter"] not in meters:
            continue
        midnight = parse_moment(day["start"], EventMoment)
        begin, end = max(midnight, first), min(midnight + DAY, last)
        if run is None or run.meter != day["meter"] or run.events + day["events"] > _RUN_EVENTS:
            if run is not None:
                yield run
            run = MeterDays(day["meter"], begin, end, day["events"])
        else:
            run = run._replace(end=end, events=run.events + day["events"])
    if run is not None:
        yield run


def _verify_run(
    api: ApiClient, run: MeterDays, summary: Summary, shown: int, progress: Progress, task: TaskID
) -> Summary:
    cursor: str | None = ""
    while cursor is not None:
        given = {"from": to_iso(run.start), "to": to_iso(run.end), **({"cursor": cursor} if cursor else {})}
        part = _part(api, {"meter": run.meter, **given})
        summary = summary.with_part(part, run.meter, shown)
        progress.advance(task, part["events"])
        cursor = part["next_cursor"]
    return summary


def _part(api: ApiClient, given: dict[str, str]) -> dict[str, Any]:
    """One part. While flushes outrun the reads, or the worker restarts, the server asks to try again."""
    attempt = 1
    while True:
        try:
            return dict(api.get(_PART, **given)["verification"])
        except Overloaded:
            if attempt == _ATTEMPTS:
                raise
            attempt += 1
            sleep(_PAUSE_SECONDS)


def _report(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        print_json(summary._asdict())
    else:
        if summary.differences:
            print_rows(summary.differences, _COLUMNS, as_json=False)
        for reason in summary.skipped:
            typer.echo(f"not verified: {reason}")
        speed = summary.events / summary.seconds if summary.seconds else 0
        typer.echo(
            f"{summary.events} events recounted in {summary.seconds:.1f} s ({speed:.0f}/s): "
            + (f"{summary.difference_count} differences" if summary.difference_count else "usage equals the events")
        )
        if summary.difference_count > len(summary.differences):
            typer.echo(f"only the first {len(summary.differences)} are listed; raise --show for more")
    if summary.difference_count:
        raise typer.Exit(FAILED)
