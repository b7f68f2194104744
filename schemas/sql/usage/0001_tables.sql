-- The usage store. Columns are those of schemas/tables.py, in their order; a test holds the two together.
-- The words with a dollar are filled in by the migration, for one server or for a cluster.
--
-- Every table but `flushes` is partitioned by the arrival month of the flush, so that one insert is one part.
-- A token is remembered per table and table partition: `flushes` must have a single one, or a flush number could have
-- two claims. Nothing counts as written before it is on disk: hence the two fsync settings everywhere.

-- In order of arrival: a flush, or a run of flushes, is one range of the primary key.
CREATE TABLE IF NOT EXISTS $database.events$on_cluster
(
    p UInt16,
    n UInt64 CODEC(DoubleDelta, LZ4),
    offset UInt64 CODEC(DoubleDelta, LZ4),
    place UInt32 CODEC(Delta, LZ4),
    account LowCardinality(String),
    event_name LowCardinality(String),
    customer_id String,
    timestamp DateTime64(6, 'UTC') CODEC(Delta, LZ4),
    idempotency_key String,
    key_hash FixedString(16) CODEC(NONE),
    body_hash UInt64 CODEC(NONE),
    properties String,
    flags UInt8,
    request_id String,
    arrival DateTime64(6, 'UTC') CODEC(DoubleDelta, LZ4),
    month UInt32,
    INDEX account account TYPE set(16) GRANULARITY 1,
    INDEX customer customer_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX timestamp timestamp TYPE minmax GRANULARITY 1,
    INDEX arrival arrival TYPE minmax GRANULARITY 1,
    INDEX key_hash key_hash TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ${replicated}MergeTree$replica
PARTITION BY month
ORDER BY (p, n, offset, place)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, $token_window;

-- Delta rows, merged in the background by functions whose order and grouping cannot change the result.
-- `month` is the table partition: the same for all rows that can ever be merged.
CREATE TABLE IF NOT EXISTS $database.usage$on_cluster
(
    account LowCardinality(String),
    meter LowCardinality(String),
    customer_id String,
    minute DateTime('UTC'),
    grp String,
    sum SimpleAggregateFunction(sum, Decimal(38, 12)),
    count SimpleAggregateFunction(sum, UInt64),
    min SimpleAggregateFunction(min, Nullable(Decimal(38, 12))),
    max SimpleAggregateFunction(max, Nullable(Decimal(38, 12))),
    latest SimpleAggregateFunction(max, Tuple(
        timestamp Int64, arrival Int64, p UInt16, offset UInt64, place UInt32, value Decimal(38, 12))),
    uniques SimpleAggregateFunction(groupUniqArrayArray, Array(FixedString(16))),
    month UInt32
)
ENGINE = ${replicated}AggregatingMergeTree$replica
PARTITION BY month
ORDER BY (account, meter, customer_id, minute, grp)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, $token_window;

CREATE TABLE IF NOT EXISTS $database.rejects$on_cluster
(
    p UInt16,
    n UInt64,
    offset UInt64,
    place UInt32,
    origin String,
    account LowCardinality(String),
    meter LowCardinality(String),
    code LowCardinality(String),
    message String,
    event_name LowCardinality(String),
    customer_id String,
    timestamp DateTime64(6, 'UTC'),
    idempotency_key String,
    properties String,
    flags UInt8,
    request_id String,
    replay_of String,
    arrival DateTime64(6, 'UTC'),
    month UInt32,
    INDEX account account TYPE set(16) GRANULARITY 1
)
ENGINE = ${replicated}MergeTree$replica
PARTITION BY month
ORDER BY (p, n, offset, place, origin, meter)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, $token_window;

-- Asked for a few hundred keys at a time, spread over all of it: hence the small granules, and blocks as small, for a
-- block is read whole. Hashes do not compress. The index on n tells quickly that a flush has left nothing here.
CREATE TABLE IF NOT EXISTS $database.seen$on_cluster
(
    p UInt16,
    key_hash FixedString(16) CODEC(NONE),
    body_hash UInt64 CODEC(NONE),
    arrival Int64,
    n UInt64,
    month UInt32,
    INDEX n n TYPE minmax GRANULARITY 1
)
ENGINE = ${replicated}MergeTree$replica
PARTITION BY month
ORDER BY (p, key_hash)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, max_compress_block_size = 4096,
    fsync_after_insert = 1, fsync_part_directory = 1, $token_window;

-- Two kinds of rows: "flush n of partition p is frames a..b, counted with meter set ver", and "flush n is done".
CREATE TABLE IF NOT EXISTS $database.flushes$on_cluster
(
    p UInt16,
    n UInt64,
    kind Enum8('claim' = 1, 'done' = 2),
    a Int64,
    b Int64,
    ver UInt64
)
ENGINE = ${replicated}MergeTree$replica
ORDER BY (p, n, kind)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, $token_window;
