-- How many rows of a flush each table has when the flush is done, in the row that says so: lost parts are missed even
-- when nothing else is left of them. `rows_month` is the month of the rows; 0 in rows from before, which say nothing.
ALTER TABLE $database.flushes$on_cluster
ADD COLUMN IF NOT EXISTS rows_month UInt32,
ADD COLUMN IF NOT EXISTS rows_events UInt64,
ADD COLUMN IF NOT EXISTS rows_pieces UInt32,
ADD COLUMN IF NOT EXISTS rows_rejects UInt64,
ADD COLUMN IF NOT EXISTS rows_seen UInt64;
