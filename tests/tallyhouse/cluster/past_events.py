"""Events that came in long ago: taken in by the product's own intake, with the clock as it stood then."""

import asyncio

from ingest_gateway.ingest.duplicate_lookup import NoKeys
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.intake_policy import IntakePolicy
from ingest_gateway.ingest.parse import parse_body
from ingest_gateway.ingest.pieces import at_once
from ingest_gateway.ingest.recent_keys import RecentKeys
from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import require_newest
from schemas.ids import AccountId
from schemas.metrics import NoMetrics
from stream_processors.backends.log.kafka.cluster import Cluster
from stream_processors.backends.log.kafka.sink import KafkaSink
from stream_processors.flushing.policy import WINDOW
from tests.server_process import KEY
from tests.tallyhouse.cluster.installation import Installation

REMEMBERED = 2**12


def take_in(installation: Installation, body: bytes, arrival: int) -> int:
    """How many events of the body a gateway would have accepted at that moment; they are in the log."""
    return asyncio.run(_taken_in(installation.settings, body, arrival))


async def _taken_in(settings: dict[str, str], body: bytes, arrival: int) -> int:
    posted = at_once(
        parse_body(
            body,
            "application/json",
            account=await _account(settings["LEDGER_URL"]),
            request_id="req_past",
            strict=False,
            backfill=False,
        )
    )
    policy = IntakePolicy(partitions=int(settings["PARTITIONS"]))
    recent = RecentKeys(REMEMBERED, WINDOW)
    async with (
        KafkaSink(Cluster(servers=settings["KAFKA_BROKERS"]), settings["KAFKA_TOPIC"]) as sink,
        Intake(sink, NoKeys(), recent, lambda: arrival, policy, NoMetrics()) as intake,
    ):
        return (await intake.submit(posted)).accepted


async def _account(ledger_url: str) -> AccountId:
    with open_ledger(ledger_url, lambda: 0, prepare=require_newest) as ledger:
        key = await ledger.api_keys.find(KEY)
    assert key is not None
    return key.account
