"""The gateway's routes, and the app that serves them."""
