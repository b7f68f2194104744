"""Tests of the pure rules of rating."""
