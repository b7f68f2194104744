"""The usage store in SQL: one text for every engine."""
