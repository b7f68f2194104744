CREATE DATABASE IF NOT EXISTS tallyhouse ON CLUSTER tally;

CREATE TABLE IF NOT EXISTS tallyhouse.migrations ON CLUSTER tally (number UInt32, name String)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}') ORDER BY number
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS tallyhouse.events ON CLUSTER tally
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY month
ORDER BY (p, n, offset, place)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS tallyhouse.usage ON CLUSTER tally
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
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY month
ORDER BY (account, meter, customer_id, minute, grp)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS tallyhouse.rejects ON CLUSTER tally
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY month
ORDER BY (p, n, offset, place, origin, meter)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS tallyhouse.seen ON CLUSTER tally
(
    p UInt16,
    key_hash FixedString(16) CODEC(NONE),
    body_hash UInt64 CODEC(NONE),
    arrival Int64,
    n UInt64,
    month UInt32,
    INDEX n n TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY month
ORDER BY (p, key_hash)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, max_compress_block_size = 4096,
    fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS tallyhouse.flushes ON CLUSTER tally
(
    p UInt16,
    n UInt64,
    kind Enum8('claim' = 1, 'done' = 2),
    a Int64,
    b Int64,
    ver UInt64
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (p, n, kind)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS tallyhouse.shard ON CLUSTER tally
(
    shard UInt32,
    shards UInt32
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY tuple()
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

ALTER TABLE tallyhouse.events ON CLUSTER tally
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;

ALTER TABLE tallyhouse.usage ON CLUSTER tally
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;

ALTER TABLE tallyhouse.rejects ON CLUSTER tally
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;

ALTER TABLE tallyhouse.seen ON CLUSTER tally
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;

ALTER TABLE tallyhouse.flushes ON CLUSTER tally
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;

ALTER TABLE tallyhouse.shard ON CLUSTER tally
MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;

ALTER TABLE tallyhouse.rejects ON CLUSTER tally
ADD COLUMN IF NOT EXISTS piece UInt32;

ALTER TABLE tallyhouse.flushes ON CLUSTER tally
ADD COLUMN IF NOT EXISTS rows_month UInt32,
ADD COLUMN IF NOT EXISTS rows_events UInt64,
ADD COLUMN IF NOT EXISTS rows_pieces UInt32,
ADD COLUMN IF NOT EXISTS rows_rejects UInt64,
ADD COLUMN IF NOT EXISTS rows_seen UInt64;

CREATE DATABASE IF NOT EXISTS tallyhouse_all ON CLUSTER tally;

CREATE OR REPLACE TABLE tallyhouse_all.events ON CLUSTER tally AS tallyhouse.events
ENGINE = Distributed('tally', 'tallyhouse', 'events');

CREATE OR REPLACE TABLE tallyhouse_all.usage ON CLUSTER tally AS tallyhouse.usage
ENGINE = Distributed('tally', 'tallyhouse', 'usage');

CREATE OR REPLACE TABLE tallyhouse_all.rejects ON CLUSTER tally AS tallyhouse.rejects
ENGINE = Distributed('tally', 'tallyhouse', 'rejects');

CREATE OR REPLACE TABLE tallyhouse_all.seen ON CLUSTER tally AS tallyhouse.seen
ENGINE = Distributed('tally', 'tallyhouse', 'seen');

CREATE OR REPLACE TABLE tallyhouse_all.flushes ON CLUSTER tally AS tallyhouse.flushes
ENGINE = Distributed('tally', 'tallyhouse', 'flushes');

CREATE TABLE IF NOT EXISTS tallyhouse.identity ON CLUSTER tally (partitions UInt32, hash_name String, log_id String)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}') ORDER BY tuple()
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

