"""Bytes to verdicts: parses, judges and stores posted events, without any HTTP framework."""
