"""Tests of rating."""
