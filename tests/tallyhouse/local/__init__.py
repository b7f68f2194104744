"""Tests of a whole cluster on one machine."""
