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

QUICKSTART_CUSTOMER = """{
    "name": "Acme Corp",
    "email": "billing@acme.com",
    "external_id": "cust_123"
  }"""
"""Of its first step."""

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
"""Of its third step. The fourth, which finalizes what this made, has none."""

QUICKSTART_ID = "cm5x9z8nv0000h85r7l9p2k1m"
"""Whose place the id that the first step answers with is to take: "you'll need it in the next steps"."""
