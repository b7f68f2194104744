"""From a request to the act it stands for, as all of the API does it."""

from ingest_gateway.api.acting import act_of, answer, replayed

__all__ = ["act_of", "answer", "replayed"]
