-- Which of how many shards this is, in one row: partition p is in shard p mod shards, for the life of the data.
-- Every shard has its own table, so that one that is taken for another is found out.
CREATE TABLE IF NOT EXISTS $database.shard$on_cluster
(
    shard UInt32,
    shards UInt32
)
ENGINE = ${replicated}MergeTree$replica
ORDER BY tuple()
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, $token_window;
