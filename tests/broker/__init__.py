"""A Kafka broker for tests: the real one wherever it can be had."""
