"""The one edge: HTTP and shell come in here."""
