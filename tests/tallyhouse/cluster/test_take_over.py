"""A worker that takes over a killed one's partitions, newly started or already running, knows their keys."""

import json
import time
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from schemas.timestamps import DAY, to_iso
from tests.server_process import GatewayClient, wait_until
from tests.tallyhouse.cluster.installation import ClusterProcess, Installation, metric_sum
from tests.tallyhouse.cluster.past_events import ingest_at

INGEST = "/v1/events/ingest"
NOW = time.time_ns() // 1000
LAST_WEEK = NOW - 7 * DAY
LONG_AGO = NOW - 36 * DAY
"""Outside the window of 35 days and 5 minutes."""
REPEATED = 40
CONTRADICTED = 5
ALL_OF_IT = timedelta(days=40)


def events(keys: Iterable[str], happened: int, tokens: str) -> list[dict[str, Any]]:
    return [
        {
            "event_name": "api.request",
            "idempotency_key": key,
            "customer_id": "customer",
            "timestamp": to_iso(happened),
            "properties": {"tokens": tokens},
        }
        for key in keys
    ]


def keys_for(successor: str, what: str, count: int) -> list[str]:
    return [f"{successor}-{what}-{number}" for number in range(count)]


class TakeOver:
    """Events counted last week, and their repeats now."""

    successors = ("started", "running")

    def __init__(self, installation: Installation, api: GatewayClient) -> None:
        self._installation = installation
        self._api = api
        self.counted = 0

    def ingest_the_past(self) -> None:
        self._ingest(["outside the window"], LONG_AGO)
        for successor in self.successors:
            self._ingest(keys_for(successor, "repeated", REPEATED), LAST_WEEK)
            self._ingest(keys_for(successor, "contradicted", CONTRADICTED), LAST_WEEK)

    def _ingest(self, keys: list[str], arrival: int) -> None:
        body = json.dumps({"events": events(keys, arrival, "0.5")}).encode()
        assert ingest_at(self._installation, body, arrival) == len(keys)
        self.counted += len(keys)

    def wait_until_taken_over(self, worker: ClusterProcess) -> None:
        """Waits until the only worker has the keys of all partitions in its filters."""
        wait_until("all keys to be known", lambda: metric_sum(worker.url, "filter_keys") == self.counted)

    def repeat(self, successor: str, worker: ClusterProcess) -> None:
        """The gateway does not know the keys and accepts the events; the worker recognises them."""
        before = {outcome: decided(worker, outcome) for outcome in ("accepted", "duplicate", "conflict")}
        for what, count, tokens in (("repeated", REPEATED, "0.5"), ("contradicted", CONTRADICTED, "0.7")):
            posted = events(keys_for(successor, what, count), LAST_WEEK, tokens)
            assert self._api.post(INGEST, {"events": posted})["accepted"] == count
        self._api.wait_until_counted()
        counted_now = {outcome: decided(worker, outcome) - number for outcome, number in before.items()}
        assert counted_now == {"accepted": 0, "duplicate": REPEATED, "conflict": CONTRADICTED}
        self.check_usage()

    def check_usage(self) -> None:
        """Every event of the past counts once."""
        assert self._api.usage("tokens", ALL_OF_IT) == {"customer": self.counted * Decimal("0.5")}

    def check_rejects(self) -> None:
        """Conflicts are kept as rejects, and nothing else."""
        rejects = self._api.get("/v1/rejects", limit=1000)["rejects"]
        assert {reject["code"] for reject in rejects} == {"IDEMPOTENCY_CONFLICT"}
        keys = [key for successor in self.successors for key in keys_for(successor, "contradicted", CONTRADICTED)]
        assert sorted(reject["idempotency_key"] for reject in rejects) == sorted(keys)

    def repeat_too_late(self) -> None:
        """A repeat from before the window is refused; with the backfill scope, its key is looked up in all events."""
        posted = {"events": events(["outside the window"], LONG_AGO, "0.5")}
        with self._with_scopes("ingest") as plain, self._with_scopes("ingest", "backfill") as backfill:
            refused = plain.post(INGEST, posted, expect=400)
            assert [detail["code"] for detail in refused["error"]["details"]] == ["TIMESTAMP_TOO_OLD"]
            assert backfill.post(INGEST, posted)["accepted"] == 1
        self._api.wait_until_counted()
        self.check_usage()

    def _with_scopes(self, *scopes: str) -> GatewayClient:
        made = self._api.post("/v1/keys", {"name": " ".join(scopes), "scopes": list(scopes)}, expect=201)
        return GatewayClient(self._api.url, made["api_key"]["token"])


def decided(worker: ClusterProcess, outcome: str) -> float:
    return metric_sum(worker.url, "flush_events_total", outcome)


@pytest.mark.long
def test_a_worker_that_takes_partitions_over_knows_the_keys_of_last_week(installation: Installation) -> None:
    """A repeat with the same body counts once, one with another body is a reject, and one too old is refused."""
    installation.settings["KAFKA_RETENTION"] = "100d"
    installation.prepare()
    with ExitStack() as running:
        gateway = running.enter_context(installation.gateway())
        api = running.enter_context(GatewayClient(gateway.url))
        api.make_meter("tokens", "$.tokens")
        take_over = TakeOver(installation, api)
        take_over.ingest_the_past()
        first = running.enter_context(installation.worker())
        api.wait_until_counted()
        first.kill()

        started = running.enter_context(installation.worker())
        take_over.wait_until_taken_over(started)
        take_over.repeat("started", started)

        running_before = running.enter_context(installation.worker())
        wait_until("it to have a share", lambda: metric_sum(running_before.url, "partition_boots_total") > 0)
        started.kill()
        take_over.wait_until_taken_over(running_before)
        take_over.repeat("running", running_before)

        take_over.check_rejects()
        take_over.repeat_too_late()
