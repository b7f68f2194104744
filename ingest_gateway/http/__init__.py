"""The HTTP layer: requests, responses, validation, authentication and rate limits, without any resource."""
