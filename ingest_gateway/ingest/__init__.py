"""Bytes to verdicts: reading, judging and storing posted events. Knows no HTTP framework."""
