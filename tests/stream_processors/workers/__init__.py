"""Tests of drivers and workers."""
