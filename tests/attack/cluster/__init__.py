"""Attacks on a cluster: its log, its clocks and its neighbours."""
