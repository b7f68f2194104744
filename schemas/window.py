"""The window: how old and how far ahead an event may be at its arrival, and how long its key is known."""

from schemas.timestamps import DAY, MINUTE

DEDUPE_WINDOW = 35 * DAY + 5 * MINUTE
"""For how long a key is known. A timestamp is at most 5 minutes ahead of its first arrival and at most 35 days old
at any arrival, so a retry that comes later than this is refused as too old by the gateway."""
