"""A whole cluster on one machine, without containers: its servers and processes, started, kept running, stopped."""
