"""The web kit: requests, responses, validation, authentication and rate limits, without any resource."""
