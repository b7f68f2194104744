"""The HTTP API: keys, envelope, limits, and every endpoint."""
