"""From event to usage: the log, the flush, the usage store."""
