"""The target of a run: an address and a key, and the constant head of every request."""

from urllib.parse import urlsplit

import msgspec

from schemas.errors import Invalid


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a gateway, and an API key."""

    host: str
    port: int
    api_key: str

    @property
    def head(self) -> bytes:
        """The head of the request up to the value of Content-Length, its last header."""
        return (
            "POST /v1/events/ingest HTTP/1.1\r\n"
            f"Host: {self.host}:{self.port}\r\n"
            f"Authorization: Bearer {self.api_key}\r\n"
            "Content-Type: application/json\r\n"
            "Content-Length: "
        ).encode()


def parse_target(url: str, api_key: str) -> Target:
    """Raises Invalid unless the URL is plain HTTP: a load generator over TLS would measure TLS."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise Invalid(f"the address must look like http://localhost:8787, got {url!r}", field="url")
    return Target(host=parts.hostname, port=parts.port or 80, api_key=api_key)
