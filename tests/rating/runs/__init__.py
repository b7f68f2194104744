"""Jobs over many subscriptions."""
