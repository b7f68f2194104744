"""Requests of the published quickstart, word for word."""

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
"""The body of the second step."""

QUICKSTART_CUSTOMER = """{
    "name": "Acme Corp",
    "email": "billing@acme.com",
    "external_id": "cust_123"
  }"""
"""The body of the first step."""

QUICKSTART_INVOICE = """{
    "customer_id": "cm5x9z8nv0000h85r7l9p2k1m",
    "collection_method": "send_invoice",
    "days_until_due": 30,
    "line_items": [
      {
        "description": "API calls — Jan 2024",
        "quantity": 1,
        "unit_amount_cents": 5000
      }
    ]
  }"""
"""The body of the third step. The fourth step, which finalizes this invoice, has no body."""

QUICKSTART_ID = "cm5x9z8nv0000h85r7l9p2k1m"
"""A placeholder for the id that the first step returns: "you'll need it in the next steps"."""
