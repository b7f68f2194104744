"""The flush protocol under a deterministic scheduler: every interleaving and every fault is a list of numbers."""
