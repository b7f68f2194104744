"""The settings of embedded mode and of the client commands, each declared once."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from schemas.env import Setting, SettingType, boolean, duration, one_of, size, text, whole_number
from schemas.timestamps import DAY, MINUTE, SECOND
from schemas.window import MAX_EVENT_AGE, MAX_EVENT_AHEAD
from tallyhouse.runtime.data_directory import DataDirectory

PREFIX = "TALLYHOUSE_"

_API_KEY = re.compile(r"ak_(live|test)_[A-Za-z0-9_-]+", re.ASCII)


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_DIRECTORY: SettingType[Path] = SettingType("a directory", Path)
_WEB_ADDRESS = re.compile(r"https?://[^\s?#]+")

WEB_ADDRESS = text("an address that begins with http:// or https://", _WEB_ADDRESS.fullmatch)
API_KEY = text("a key that begins with ak_live_ or ak_test_", _API_KEY.fullmatch)


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of every mode. Times are in microseconds, sizes in bytes."""

    host: Annotated[str, Setting(text("a host name or address"), "Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Setting(whole_number(0, 65535), "Port to listen on; 0 takes a free one.")] = 8787
    public_url: Annotated[
        str | None,
        Setting(
            WEB_ADDRESS,
            "Public address of the pages for customers, such as hosted invoices; without it, this process's address.",
        ),
    ] = None
    bootstrap_api_key: Annotated[
        str | None,
        Setting(
            API_KEY, "Admin key to install at the first start; without it one is generated and shown once.", secret=True
        ),
    ] = None
    partitions: Annotated[
        int,
        Setting(whole_number(1, 1024), "Partitions of the log; fixed at the first start for the life of the data."),
    ] = 2
    log_format: Annotated[LogFormat, Setting(one_of(LogFormat), "Format of log lines: for people or for machines.")] = (
        LogFormat.CONSOLE
    )
    log_level: Annotated[LogLevel, Setting(one_of(LogLevel), "Log lines below this level are omitted.")] = LogLevel.INFO
    event_max_age: Annotated[
        int,
        Setting(
            duration(MINUTE, MAX_EVENT_AGE),
            "How old an event may be when it arrives; keys with the backfill scope may send older ones. "
            "The seen keys reach back 35 days, so no more than that can be promised to count once.",
        ),
    ] = MAX_EVENT_AGE
    event_max_ahead: Annotated[
        int, Setting(duration(0, MAX_EVENT_AHEAD), "How far in the future an event's timestamp may be when it arrives.")
    ] = MAX_EVENT_AHEAD
    api_rate_limit: Annotated[
        int,
        Setting(
            whole_number(0, 10**9), "API requests per minute and account, event posts not counted; 0 sets no limit."
        ),
    ] = 1000
    ingest_rate_limit: Annotated[
        int, Setting(whole_number(0, 10**9), "Event posts per minute and account; 0 sets no limit.")
    ] = 0
    fan_out_free: Annotated[
        int,
        Setting(
            whole_number(0, 10**6),
            "How many meters may count an event before the next setting limits its account's events.",
        ),
    ] = 100
    fan_out_rows: Annotated[
        int,
        Setting(
            whole_number(0, 10**9),
            "How many usage rows such events of an account may make, in all, while they wait to be counted; beyond it "
            "its posts are answered 429 with Retry-After, so that no other account waits long. 0 sets no limit.",
        ),
    ] = 10**6
    body_budget: Annotated[
        int,
        Setting(
            size(20 * 10**6, 10**11),
            "Memory for event bodies that are not yet answered; beyond it posts are answered 503 with Retry-After.",
        ),
    ] = 64 * 10**6
    connection_limit: Annotated[
        int,
        Setting(
            whole_number(16, 10**6),
            "Open connections of a process; fewer if the limit of open files allows no more. At the limit a new one "
            "displaces the oldest that waits for a request or for the rest of one; if none does, it is answered 503.",
        ),
    ] = 4000
    connection_limit_per_address: Annotated[
        int,
        Setting(
            whole_number(1, 10**6),
            "Open connections of one address (one /64 of IPv6). Raise it behind a proxy, which is one for all clients.",
        ),
    ] = 1000
    stall_timeout: Annotated[
        int,
        Setting(
            duration(SECOND, 600 * SECOND),
            "How long a request's headers may take, and the longest pause in its body; beyond it the answer is 408. A "
            "response that no client reads for so long is given up.",
        ),
    ] = 20 * SECOND
    keep_alive: Annotated[
        int, Setting(duration(SECOND, 3600 * SECOND), "How long a connection may wait for its next request.")
    ] = 75 * SECOND
    recent_keys: Annotated[
        int,
        Setting(whole_number(1024, 10**8), "Keys the gateway remembers to answer `duplicate` before they are counted."),
    ] = 2**20
    flush_frames: Annotated[
        int, Setting(whole_number(1, 10**6), "Frames waiting in a partition that start a flush at once.")
    ] = 256
    flush_bytes: Annotated[
        int, Setting(size(10**5, 10**9), "Maximum bytes of frames in one flush; bounds the processor's memory.")
    ] = 16 * 10**6
    flush_rows: Annotated[
        int,
        Setting(
            whole_number(1, 10**7),
            "Maximum rows of usage or of rejects in one insert, but for those of a single meter; a flush with more "
            "meters than fit inserts them in several pieces. Bounds the memory of the processor and of the store.",
        ),
    ] = 100_000
    flush_linger: Annotated[
        int, Setting(duration(0, 60 * SECOND), "How long a frame may wait for more frames before a flush starts.")
    ] = 300 * SECOND // 1000
    billing_every: Annotated[
        int,
        Setting(
            duration(0, 7 * DAY),
            "Interval at which this process bills what is due; 0 leaves billing to `invoices run`.",
        ),
    ] = 60 * MINUTE
    billing_grace: Annotated[
        int,
        Setting(duration(0, 30 * DAY), "Delay after a period's end before it is billed on schedule, for late events."),
    ] = 60 * MINUTE
    shutdown_grace: Annotated[
        int, Setting(duration(0, 600 * SECOND), "How long requests in flight may take to finish at a stop.")
    ] = 10 * SECOND

    @property
    def url(self) -> str:
        """The address at which a command on this machine reaches the process."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """Returns the address for a port, which differs from the setting if that is 0."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared with, not bound to
        host = everywhere.get(self.host, f"[{self.host}]" if ":" in self.host else self.host)
        return f"http://{host}:{port}"


class EmbeddedSettings(ServiceSettings, frozen=True, kw_only=True):
    """The settings of `tallyhouse serve`."""

    data_dir: Annotated[Path, Setting(_DIRECTORY, "Directory of all data: log, store and ledger.")] = Path("data")
    log_limit: Annotated[
        int,
        Setting(
            size(10**6, 10**14),
            "Bytes of frames waiting to be counted; beyond it posts are answered 503 with Retry-After.",
        ),
    ] = 4 * 10**9
    clickhouse_port: Annotated[
        int | None,
        Setting(
            whole_number(1, 65535),
            "Port on the loopback interface for ClickHouse clients, read-only. The password is a live key with the "
            "admin scope, because the port opens the rows of all accounts. Without a value the port is off.",
        ),
    ] = None
    process_events: Annotated[
        bool,
        Setting(
            boolean(), "Whether events are counted; if not, they wait in the log until a start with this setting on."
        ),
    ] = True

    verify_rate: Annotated[
        int,
        Setting(
            whole_number(0, 10**9),
            "Events to recount per second, on average, to verify usage while nothing waits to be counted; 0 turns it "
            "off. An event counts once for each of its meters.",
        ),
    ] = 20_000

    @property
    def key_file(self) -> Path:
        """The file of the first key, which the commands on this machine read."""
        return DataDirectory(self.data_dir).key_file


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the commands that query a running process."""

    url: Annotated[
        str | None, Setting(text("an address"), "Address of the running process, for the client commands.")
    ] = None
    api_key: Annotated[str | None, Setting(API_KEY, "API key of the client commands.", secret=True)] = None
