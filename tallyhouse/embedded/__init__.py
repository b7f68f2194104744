"""Embedded mode: one command and no servers; a gateway process, and a worker process that counts."""
