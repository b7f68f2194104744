"""The app on in-memory parts, as the gateway's own tests use it."""

from tests.ingest_gateway.conftest import auth, in_memory_app

__all__ = ["auth", "in_memory_app"]
