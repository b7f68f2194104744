"""Speed of the cluster, all of it on this machine; every run checks its own totals, and fails when they differ."""
