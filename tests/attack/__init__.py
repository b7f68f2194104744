"""Attacks on a running program: each ends in exact counts, in an alarm, or in a refusal that leaves others served."""
