"""What the contract publishes, to the letter."""

QUICKSTART = """{
    "events": [
      {
        "event_name": "api.request",
        "idempotency_key": "evt_abc123xyz",
        "customer_id": "cm5x9z8nv0000h85r7l9p2k1m",
        "timestamp": "2024-01-15T10:30:00Z",
        "properties": {
          "tokens": 150,
          "model": "gpt-4"
        }
      }
    ]
  }"""
"""The body of its quickstart's second step."""
