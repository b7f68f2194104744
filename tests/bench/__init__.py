"""Speed against the targets; every run checks its own totals, and fails when they differ."""
