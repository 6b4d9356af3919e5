-- Begins a recovery: marks the partition (R, step 0).
--
-- KEYS: meta of the partition.
-- ARGV: ticket.
-- Returns: what `shown_meta` of the prelude does.
-- Atomic because: the recovery goes by what the partition was when it was marked.

-- A recovery must be possible where memory is used up: first a command that needs none.
redis.call('HDEL', KEYS[1], 'ticket')
redis.call('HSET', KEYS[1], 'ticket', next_argument())
return shown_meta(KEYS[1], now_ms())
