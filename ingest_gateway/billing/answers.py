"""What all answers have in common, as all of the API has it."""

from ingest_gateway.api.answers import Listed, Pagination, Success, listed

__all__ = ["Listed", "Pagination", "Success", "listed"]
