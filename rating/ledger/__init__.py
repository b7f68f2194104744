"""The ledger: accounts, API keys, meters, customers, plans, subscriptions and invoices, in SQLite or PostgreSQL."""
