"""The flush protocol as steps over ports: the only place where exactly-once is decided."""
