"""A whole cluster, as processes, whose log others write to, alter and replace while producers post."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx
import pytest

from schemas.frame import encode
from stream_processors.backends.log.kafka.records import STAMP
from tests.attack.cluster.foreign_writer import ForeignWriter, arrival_header
from tests.factories import make_batch, make_event
from tests.server_process import KEY, GatewayClient, wait_until
from tests.tallyhouse.cluster.installation import ClusterProcess, Installation, metric_sum

PARTITIONS = 2
BATCH = 40
METER = "requests"


class Producer:
    """Posts batches of new events, one after the other, and knows how many were accepted."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopping = threading.Event()
        self.accepted: list[tuple[float, int]] = []
        """When a post began, and how many of its events were accepted."""
        self.refused = 0

    @contextmanager
    def posting(self) -> Iterator[None]:
        thread = threading.Thread(target=self._post)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    @property
    def total(self) -> int:
        return sum(events for _, events in self.accepted)

    def accepted_since(self, moment: float) -> int:
        return sum(events for began, events in self.accepted if began >= moment)

    def _post(self) -> None:
        with httpx.Client(base_url=self._url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30) as client:
            while not self._stopping.is_set():
                self._post_once(client)

    def _post_once(self, client: httpx.Client) -> None:
        events = [
            {
                "event_name": "api.request",
                "idempotency_key": uuid4().hex,
                "customer_id": "c",
                "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "properties": {},
            }
            for _ in range(BATCH)
        ]
        began = time.monotonic()
        # The same batch again until it is accepted, as a producer does.
        while not self._stopping.is_set():
            answer = client.post("/v1/events/ingest", json={"events": events})
            if answer.status_code == 503:
                self.refused += 1
                time.sleep(0.1)
                began = time.monotonic()
                continue
            assert answer.status_code == 200, answer.text
            self.accepted.append((began, int(answer.json()["accepted"])))
            return


def status_code(url: str) -> int:
    return httpx.get(f"{url}/readyz", timeout=10).status_code


def wait_for_refusal(*processes: ClusterProcess) -> None:
    for process in processes:
        wait_until("the process to be not ready", lambda url=process.url: status_code(url) == 503, 30)  # type: ignore[misc]


@pytest.mark.long
def test_the_topic_is_deleted_and_made_again_under_traffic(installation: Installation) -> None:
    """No event is answered `accepted` that is only in the new topic; both processes say what to do, also at a start."""
    installation.settings["PARTITIONS"] = str(PARTITIONS)
    installation.prepare()
    topic, broker = installation.settings["KAFKA_TOPIC"], installation.settings["KAFKA_BROKERS"]
    with installation.gateway() as gateway, installation.worker() as worker, GatewayClient(gateway.url) as api:
        api.make_meter(METER)
        producer = Producer(gateway.url)
        with producer.posting():
            wait_until("some traffic", lambda: producer.total > 2_000)
            asyncio.run(ForeignWriter(broker, topic).recreate(PARTITIONS))
            recreated = time.monotonic()
            wait_for_refusal(gateway, worker)
            refused_so_far = producer.refused
            wait_until("more refusals", lambda: producer.refused > refused_so_far + 5)
        assert producer.accepted_since(recreated) == 0
        assert api.total(METER) <= producer.total

        def have_stopped() -> bool:
            rows = api.get("/v1/status")["status"]["partitions"]
            return all(row["state"].startswith("stopped: ") and "created again" in row["state"] for row in rows)

        wait_until("the status to say what has happened", have_stopped)
        for process in (gateway, worker):
            assert process.output().count("was deleted and created again") >= 1
    for command in ("gateway", "worker"):
        run = installation.run(command)
        assert run.returncode != 0
        assert "belongs to another log" in run.stderr


@pytest.mark.long
def test_partitions_added_by_hand_lose_nothing(installation: Installation) -> None:
    """Posts are refused at once; what was accepted is counted; the advice names what the data has."""
    installation.settings["PARTITIONS"] = str(PARTITIONS)
    installation.prepare()
    topic, broker = installation.settings["KAFKA_TOPIC"], installation.settings["KAFKA_BROKERS"]
    with installation.gateway() as gateway, GatewayClient(gateway.url) as api:
        api.make_meter(METER)
        producer = Producer(gateway.url)
        with producer.posting(), installation.worker() as worker:
            wait_until("some traffic", lambda: producer.total > 1_000)
            asyncio.run(ForeignWriter(broker, topic).add_partitions(PARTITIONS + 2))
            wait_for_refusal(gateway, worker)
            refused_so_far = producer.refused
            wait_until("refusals", lambda: producer.refused > refused_so_far)
        check = installation.run("topics", "check")
        assert check.returncode != 0
        assert "a topic cannot shrink: leave the setting as it is" in check.stderr
        assert "was made with 2 partitions" in check.stderr
        with_more = installation.run("gateway", PARTITIONS=str(PARTITIONS + 2))
        assert with_more.returncode != 0
        assert "this data was made with 2" in with_more.stderr
        # A worker that starts now counts the rest; it is not ready, so its start is not waited for.
        with installation.worker_not_waited_for():
            api.wait_until_counted()
        # The post that was refused first may have reached the log.
        assert api.total(METER) - producer.total in (0, BATCH)


def skip_by_command(installation: Installation, partition: int, offset: int) -> None:
    """Looks at the record first, and then skips it."""
    place = (str(partition), str(offset))
    shown = installation.run("topics", "skip", *place)
    assert "has an arrival outside" in shown.stdout, shown.stderr
    assert "1 events of" in shown.stdout
    assert "nothing is decided yet" in shown.stdout
    done = installation.run("topics", "skip", *place, "--yes")
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_records_of_strangers_stop_no_gateway_and_are_skipped_by_command(installation: Installation) -> None:
    """Gateways start, accept and report; a partition stops where accepted events may be lost, until the command."""
    installation.settings["PARTITIONS"] = str(PARTITIONS)
    installation.prepare()
    topic, broker = installation.settings["KAFKA_TOPIC"], installation.settings["KAFKA_BROKERS"]
    writer = ForeignWriter(broker, topic)
    payload = encode(make_batch([make_event("foreign")]))

    async def write_everywhere() -> list[int]:
        for partition in range(PARTITIONS):
            await writer.write(partition, b"not ours")
        return [await writer.write(partition, payload, arrival_header(2**64 - 1)) for partition in range(PARTITIONS)]

    first = asyncio.run(write_everywhere())
    with (
        installation.gateway() as gateway,
        installation.worker_not_waited_for(),
        GatewayClient(gateway.url) as api,
    ):
        api.make_meter(METER)
        producer = Producer(gateway.url)
        with producer.posting():
            wait_until("traffic", lambda: producer.total > 1_000)
            last = asyncio.run(write_everywhere())
            with installation.gateway():
                wait_until("more traffic", lambda: producer.total > 2_000)

        def have_stopped() -> bool:
            return all("topics skip" in row["state"] for row in api.get("/v1/status")["status"]["partitions"])

        wait_until("the status to say what to do", have_stopped)
        for offsets in (first, last):
            for partition, offset in enumerate(offsets):
                skip_by_command(installation, partition, offset)
        api.wait_until_counted()
        assert api.total(METER) == producer.total

        def are_reported() -> bool:
            partitions = api.get("/v1/status")["status"]["partitions"]
            return [row["foreign_records"] for row in partitions] == [4] * PARTITIONS

        wait_until("the foreign records to be reported", are_reported)
        listed = installation.run("topics", "skip").stdout.splitlines()
        assert sum("it is skipped" in line for line in listed) == 2 * PARTITIONS
        assert sum("it is stepped over" in line for line in listed) == 2 * PARTITIONS
        ours = installation.run("topics", "skip", "0", str(last[0] + 1))
        assert ours.returncode != 0
        assert "there is nothing to skip" in ours.stderr


@pytest.mark.long
@pytest.mark.parametrize("stamped", [True, False])
def test_a_copied_frame_is_counted_once(installation: Installation, stamped: bool) -> None:
    """With its headers, and as a gateway of an earlier release wrote it: its keys do not hash to that partition."""
    installation.settings["PARTITIONS"] = str(PARTITIONS)
    installation.prepare()
    topic, broker = installation.settings["KAFKA_TOPIC"], installation.settings["KAFKA_BROKERS"]
    writer = ForeignWriter(broker, topic)

    async def copy() -> int:
        record = await writer.first_record(0)
        headers = [header for header in record.headers if stamped or header[0] != STAMP]
        return await writer.write(1, record.value, headers)

    with installation.gateway() as gateway, installation.worker() as worker, GatewayClient(gateway.url) as api:
        api.make_meter(METER)
        producer = Producer(gateway.url)
        with producer.posting():
            wait_until("traffic", lambda: producer.total > 1_000)
            offset = asyncio.run(copy())
            wait_until("more traffic", lambda: producer.total > 2_000)
        wait_for_refusal(worker)
        assert metric_sum(worker.url, "log_foreign_records_total", "partition") == 1
        assert installation.run("topics", "skip", "1", str(offset), "--yes").returncode == 0
        wait_until("the worker to be ready", lambda: status_code(worker.url) == 200)
        api.wait_until_counted()
        assert api.total(METER) == producer.total
