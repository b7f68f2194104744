"""The API described: from the table of endpoints to a document for machines and a page for people."""
