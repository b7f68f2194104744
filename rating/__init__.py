"""From usage to a paid invoice; for now, the ledger of accounts, keys and meters."""
