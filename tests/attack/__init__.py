"""Attacks: what a hostile or broken client, disk or clock can do, against the oracle."""
