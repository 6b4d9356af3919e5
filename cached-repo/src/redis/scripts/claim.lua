-- Takes or renews the right to drain a partition.
--
-- KEYS: meta of the partition, claim.
-- ARGV: token, hold in ms.
-- Returns: nil if another worker has it, else what `shown_meta` of the prelude does.
-- Atomic because: two workers must not both find it free, and a renewal must not take it from another.

local token, hold = next_argument(), next_argument()
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= token then
  return false
end
-- Draining frees memory, so it must begin where memory is used up: first a command that needs none.
redis.call('UNLINK', KEYS[2])
redis.call('SET', KEYS[2], token, 'PX', hold)
return shown_meta(KEYS[1], now_ms())
