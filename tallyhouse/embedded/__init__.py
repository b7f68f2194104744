"""Embedded mode: one command, no servers. A gateway process, and a worker process of its own that counts."""
