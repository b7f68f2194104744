"""A whole cluster whose processes are killed at random while events come, and the proof that each is counted once."""
