-- What a merge has written takes the place of rows that were on disk: it must be there too before they may go. A server
-- keeps them for eight minutes and trusts the system with the rest; an engine inside a process deletes them at once.
-- The same for what a replica fetches from another: an insert's quorum counts it as written.
ALTER TABLE $database.events$on_cluster
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;
ALTER TABLE $database.usage$on_cluster
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;
ALTER TABLE $database.rejects$on_cluster
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;
ALTER TABLE $database.seen$on_cluster
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;
ALTER TABLE $database.flushes$on_cluster
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;
ALTER TABLE $database.shard$on_cluster
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;
