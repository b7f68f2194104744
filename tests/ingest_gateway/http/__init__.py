"""Tests of the HTTP app."""
