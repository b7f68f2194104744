"""Cluster mode: the processes of an installation on Kafka, ClickHouse and PostgreSQL, each put together here."""
