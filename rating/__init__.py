"""From usage to a paid invoice; the rules of pricing, and the ledger of accounts, keys and meters."""
