"""Limits of the intake."""

import msgspec

from ingest_gateway.ingest.frames import FrameLimits
from ingest_gateway.ingest.judge import AgeLimits


class IntakePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen: limits may be shared, the intake's state may not."""

    partitions: int
    age_limits: AgeLimits = AgeLimits()
    frame_limits: FrameLimits = FrameLimits()
    group_events: int = 50_000
    group_bytes: int = 16_000_000
    queue_requests: int = 20_000
    queue_bytes: int = 48_000_000
    linger_seconds: float = 0.0
    """Waiting for company before a group starts. Zero: whoever comes while the last group is written is company."""
    longest_wait_seconds: float = 2.0
    """When the oldest request has waited so long, new ones are sent away at once."""
    answer_timeout_seconds: float = 15.0
    """A request that has no answer by then is told to come again; its key makes that safe."""
    lookup_timeout_seconds: float = 1.0
    """How long to wait for the known keys. They only make replies honest sooner: ingest goes on without."""
    thread_bytes: int = 4_000_000
    """Groups beyond this are encoded in a thread, so that the event loop stays responsive."""
