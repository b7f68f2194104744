"""The pure core: filter, dedupe, values, measuring, planning."""
