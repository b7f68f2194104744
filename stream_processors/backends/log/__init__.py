"""The log: a durable, partitioned, append-only sequence of frames."""
