"""Producers that post everything three times, to different gateways: each event counts once."""

import itertools
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from decimal import Decimal
from random import Random

import pytest

from tests.backing_services.redis import redis_server
from tests.server_process import GatewayClient, free_port, wait_until
from tests.tallyhouse.cluster.installation import Installation, metric_sum
from tests.tallyhouse.cluster.retry_traffic import INGEST, RetriedBatch, new_batch, send_all, three_times

BATCHES = 90
BATCH = 50
GATEWAYS = 2


def start_gateways(installation: Installation, running: ExitStack, **settings: str) -> Sequence[GatewayClient]:
    programs = [running.enter_context(installation.gateway(**settings)) for _ in range(GATEWAYS)]
    return [running.enter_context(GatewayClient(program.url)) for program in programs]


def check_exact(api: GatewayClient, posted: Sequence[RetriedBatch]) -> None:
    """Every customer's sum, every count and every raw event equal the posted events, each once."""
    api.wait_until_counted()
    sums: Counter[str] = sum((batch.sums() for batch in posted), Counter())
    assert api.usage("tokens") == {customer: Decimal(hundredths) / 100 for customer, hundredths in sums.items()}
    events = [event for batch in posted for event in batch.events()]
    assert api.usage("requests") == Counter(event["customer_id"] for event in events)
    assert Counter(map(essence, api.events())) == Counter(map(essence, events))
    assert api.get("/v1/rejects")["rejects"] == []


def essence(event: dict[str, object]) -> tuple[object, ...]:
    properties = event["properties"]
    assert isinstance(properties, dict)
    return (*(event[name] for name in ("idempotency_key", "customer_id", "event_name")), properties["tokens"])


@pytest.mark.long
def test_a_storm_of_retries_over_two_gateways_counts_each_event_once(installation: Installation) -> None:
    """Concurrent, in any order, many without awaiting the answer: totals, sums and raw events are exact."""
    installation.prepare()
    posted = [new_batch(number, BATCH) for number in range(BATCHES)]
    sendings = three_times(BATCHES, GATEWAYS, Random(7))
    with ExitStack() as running:
        gateways = start_gateways(installation, running)
        worker = running.enter_context(installation.worker())
        gateways[0].make_meter("tokens", "$.tokens")
        gateways[0].make_meter("requests")
        answers = send_all(gateways, [batch.body() for batch in posted], sendings)
        assert len(answers) == sum(sending.awaits_response for sending in sendings)
        assert all(verdicts["accepted"] + verdicts["duplicates"] == BATCH for verdicts in answers)
        check_exact(gateways[1], posted)
        # Each gateway knows only its own keys: repeats of the other's events went into the log.
        both = {sending.batch for sending in sendings if sending.awaits_response and sending.batch % 3}
        assert metric_sum(worker.url, "flush_events_total", "duplicate") >= len(both) * BATCH
        assert metric_sum(worker.url, "flush_events_total", "accepted") == BATCHES * BATCH


@pytest.mark.long
def test_gateways_with_shared_hints_recognise_each_others_duplicates(installation: Installation) -> None:
    """Through Redis, a retry at another gateway is answered as a duplicate; the totals are the same."""
    installation.prepare()
    count = BATCHES // 3
    posted = [new_batch(number, BATCH) for number in range(count)]
    port = free_port()
    with ExitStack() as running:
        running.enter_context(redis_server(port))
        gateways = start_gateways(installation, running, REDIS_URL=f"redis://127.0.0.1:{port}/0")
        running.enter_context(installation.worker())
        gateways[0].make_meter("tokens", "$.tokens")
        gateways[0].make_meter("requests")
        send_all(gateways, [batch.body() for batch in posted], three_times(count, GATEWAYS, Random(8)))
        posted += until_duplicates_are_known(gateways, first=count)
        check_exact(gateways[0], posted)


def until_duplicates_are_known(gateways: Sequence[GatewayClient], first: int) -> list[RetriedBatch]:
    """Posts new batches to one gateway and then to the other, until the other knows one; returns all batches.

    Hints are written in the background, and a lookup waits a tenth of a second, so it may take several batches.
    """
    posted: list[RetriedBatch] = []
    places = itertools.count(first)

    def is_known() -> bool:
        batch = new_batch(next(places), BATCH)
        posted.append(batch)
        assert gateways[0].post(INGEST, {"events": batch.events()})["accepted"] == BATCH
        verdicts = gateways[1].post(INGEST, {"events": batch.events()})
        return (verdicts["accepted"], verdicts["duplicates"]) == (0, BATCH)

    wait_until("a repeat to be answered as duplicates at the other gateway", is_known)
    return posted
