"""Tests of the cluster's processes."""
