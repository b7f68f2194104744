"""Embedded mode: the gateway, its worker, and what they say to each other."""
