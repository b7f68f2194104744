"""Whole stories: a real server process, real HTTP, real kills."""
