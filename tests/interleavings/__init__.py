"""Any interleaving of everything that can happen to a counter, held against the oracle."""
