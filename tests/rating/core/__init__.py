"""Tests of the rules of rating."""
