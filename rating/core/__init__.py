"""Pure rules: quantities and dates in, lines and totals out. No clock, no I/O, no framework."""
