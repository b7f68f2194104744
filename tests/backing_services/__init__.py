"""Servers as containers of the images that `deploy/compose.yaml` names, for tests, where Docker answers.

Docker does not answer where this was written, so none of these containers has been started yet. The tests without one
cover the choice, the environment of a container, the resulting addresses, and the waiting.
"""
