"""Tests of the jobs over many subscriptions."""
