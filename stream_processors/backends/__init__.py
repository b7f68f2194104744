"""Adapters: the log and the usage store, each in several implementations."""
