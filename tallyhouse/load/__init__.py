"""A bounded load generator that knows exactly what it sent, and proves that the usage equals it."""
