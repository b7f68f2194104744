"""The relational store: SQLAlchemy Core on SQLite or PostgreSQL."""
