"""Tests of the gateway's routes and app."""
