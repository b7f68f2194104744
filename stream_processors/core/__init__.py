"""Pure rules: frames in, rows out. No clock, no I/O, no framework."""
