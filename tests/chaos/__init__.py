"""Kills a cluster's processes at random under load, and proves that every event is counted once."""
