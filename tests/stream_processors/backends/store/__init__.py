"""The usage store: policies and engines."""
