"""Servers as containers of the images that `deploy/compose.yaml` names, for tests, where Docker answers.

Where these were written no Docker answers: no container of them has been started yet. What is tested without one is
the choice, what a container is told, the addresses that come of it, and the waiting.
"""
