"""Tests of the stream processors."""
