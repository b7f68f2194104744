"""A bounded load generator that knows exactly what it sent, and can prove it was counted."""
