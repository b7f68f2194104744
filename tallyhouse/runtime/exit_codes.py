"""Exit codes of every command and process."""

FAILED = 1
"""Exit code of who says itself what failed. At the very first start, whoever keeps us running should hear of it."""


MISCONFIGURED = 2
"""Exit code of who cannot run as it is told to: starting it again will not help."""
