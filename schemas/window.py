"""The window: how old and how far ahead an event may be at its arrival, and how long its key is known."""

from schemas.timestamps import DAY, MINUTE, Micros

MAX_EVENT_AGE = Micros(35 * DAY)
"""The oldest timestamp the gateway accepts without the `backfill` scope, before arrival; settings may only lower it."""

MAX_EVENT_AHEAD = Micros(5 * MINUTE)
"""The furthest a timestamp may be ahead of its arrival; settings may only lower it."""

DEDUPE_WINDOW = Micros(MAX_EVENT_AGE + MAX_EVENT_AHEAD)
"""For how long after its arrival a key is known. An event accepted at the limit ahead is refused as too old once this
has passed, so no retry of an accepted event can arrive after its key is forgotten."""
