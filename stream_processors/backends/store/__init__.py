"""The usage store as a flush needs it: policies of writing at most once, over an engine's mechanics."""
