"""Attacks on a running program: each ends in exact counts or in an alarm."""
