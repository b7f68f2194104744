"""The ingest path, from bytes to verdicts."""
