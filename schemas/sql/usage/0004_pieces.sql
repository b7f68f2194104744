-- The number of the block that brought a reject, among the blocks of its flush or of its backfill. What came before pieces
-- were numbered came in one.
ALTER TABLE $database.rejects$on_cluster
ADD COLUMN IF NOT EXISTS piece UInt32;
