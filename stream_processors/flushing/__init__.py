"""The flush protocol, backfills and expiry as steps over ports: exactly-once is decided here alone."""
