-- Refuses appends from now on; mostly only if there is nothing left to drain.
--
-- KEYS: meta of the partition, journal.
-- ARGV: epoch, '1' if records may be left.
-- Returns: the acknowledged position (text); nil if there is more to drain, or it is another epoch, or
--   another server's journal, or `redis_only` has the partition: a seal lets writes pass that know nothing
--   of it.
-- Atomic because: no write may be journaled between the look at the journal and the seal.

local meta = meta_of(KEYS[1])
local epoch, may_be_left = next_argument(), next_argument() == '1'
local _, _, oldest = standing_at(KEYS[2], number(meta.acked), meta)
if meta.home ~= server_id(now_ms()) or meta.epoch ~= epoch or oldest and not may_be_left
  or is_redis_only(meta.side) then
  return false
end
redis.call('HSET', KEYS[1], 'sealed', '1')
return meta.acked or '0'
