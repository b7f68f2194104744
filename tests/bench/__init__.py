"""Measures speed against the targets. Every run verifies its own totals, and fails if they differ."""
