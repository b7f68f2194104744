"""Attacks on running processes: each must be answered or cut off, and never shut others out."""
