"""Jobs over many subscriptions: what is due, what it comes to, and whether that is right."""
