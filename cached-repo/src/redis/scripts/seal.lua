-- Refuses appends from now on, if there is nothing left to drain.
--
-- KEYS: meta of the partition.
-- ARGV: epoch.
-- Returns: the acknowledged position (text); nil if there is more to drain, or it is another epoch, or
--   another server's journal.
-- Atomic because: no write may be journaled between the look at the journal and the seal.

local meta = meta_of(KEYS[1])
local is_drained = number(meta.count) == number(meta.acked_count)
if meta.home ~= server_id(now_ms()) or meta.epoch ~= next_argument() or not is_drained then
  return false
end
redis.call('HSET', KEYS[1], 'sealed', '1')
return meta.acked or '0'
