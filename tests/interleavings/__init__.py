"""Random interleavings of everything that can happen to a pipeline, compared with the oracle."""
