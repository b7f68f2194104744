"""Drivers, which decide when to flush, and the two kinds of worker that run them."""
