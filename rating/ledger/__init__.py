"""The ledger: companies, accounts, API keys and meters, in SQLite or PostgreSQL through one schema."""
