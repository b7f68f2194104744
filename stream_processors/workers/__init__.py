"""Drivers: what reads the log and calls the flush."""
