"""Measures a whole cluster on this machine. Every run verifies its own totals, and fails if they differ."""
