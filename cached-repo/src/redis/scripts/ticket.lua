-- Begins a recovery: marks the partition (R, step 0), for this server: another one may come to know the
-- ticket, with a state that the recovery never saw.
--
-- KEYS: meta of the partition.
-- ARGV: ticket.
-- Returns: what `shown_meta` of the prelude does.
-- Atomic because: the recovery goes by what the partition was when it was marked.

-- A recovery must be possible where memory is used up: first a command that needs none.
redis.call('HDEL', KEYS[1], 'ticket')
local now = now_ms()
redis.call('HSET', KEYS[1], 'ticket', next_argument() .. ' ' .. server_id(now))
return shown_meta(KEYS[1], now)
