"""Tests of the flush protocol outside the simulator."""
