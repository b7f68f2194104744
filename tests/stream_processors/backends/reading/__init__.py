"""Reading usage, events and rejects."""
