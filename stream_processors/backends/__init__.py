"""Adapters: the log and the usage store, each in more than one make."""
