"""ClickHouse's HTTP interface over the embedded engine, as far as clickhouse-connect and curl need it."""
