"""Events of the past, stored by the product's own intake with an earlier clock."""

import asyncio

from ingest_gateway.ingest.cooperative import run_at_once
from ingest_gateway.ingest.duplicate_lookup import NoKeyHints
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.intake_queue import IntakePolicy
from ingest_gateway.ingest.parse import parse_body
from ingest_gateway.ingest.recent_keys import RecentKeys
from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import require_newest
from schemas.ids import AccountId
from schemas.metrics import NullMetrics
from schemas.window import DEDUPE_WINDOW
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.sink import KafkaSink
from tests.server_process import KEY
from tests.tallyhouse.cluster.installation import Installation

REMEMBERED = 2**12


def ingest_at(installation: Installation, body: bytes, arrival: int) -> int:
    """Appends the events of the body to the log as of `arrival`; returns the number of accepted ones."""
    return asyncio.run(_ingested_at(installation.settings, body, arrival))


async def _ingested_at(settings: dict[str, str], body: bytes, arrival: int) -> int:
    posted = run_at_once(
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
    recent = RecentKeys(REMEMBERED, DEDUPE_WINDOW)
    async with (
        KafkaSink(KafkaCluster(servers=settings["KAFKA_BROKERS"]), settings["KAFKA_TOPIC"]) as sink,
        Intake(sink, NoKeyHints(), recent, lambda: arrival, policy, NullMetrics()) as intake,
    ):
        return (await intake.submit(posted)).accepted


async def _account(ledger_url: str) -> AccountId:
    with open_ledger(ledger_url, lambda: 0, prepare=require_newest) as ledger:
        key = await ledger.api_keys.find(KEY)
    assert key is not None
    return key.account
