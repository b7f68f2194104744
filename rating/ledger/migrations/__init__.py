"""The schema of the ledger as numbered migrations."""
