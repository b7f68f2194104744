"""How large a log may grow and how it tidies up."""

import msgspec

MEBIBYTE = 2**20
GIBIBYTE = 2**30


class LogPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one log. The defaults suit one machine."""

    held_bytes: int = 4 * GIBIBYTE
    """Payload bytes the log may hold; from there on producers are told to wait. Nothing accepted is ever dropped."""
    retained_frames: int = 0
    """How many counted frames of each partition stay, to look at; they take part in `held_bytes`."""
    trim_frames: int = 512
    """How many counted frames one commit deletes: small, so that nobody waits long behind it."""
    checkpoint_bytes: int = 16 * MEBIBYTE
    """Bytes committed between two checkpoints: bounds the write-ahead file."""
    busy_seconds: float = 5.0
    """How long to wait for a file that another program has locked."""
    readers: int = 2
    """Threads that read."""
