-- Turns a partition over to another side: who may write to it.
--
-- KEYS: meta of the partition.
-- ARGV: the new side ('' is that of all), then the sides that it may be on.
-- Returns: 'turned', the side before; or, with nothing changed, 'is', the side.
-- Atomic because: another process may turn it between the look and the turn.

local to = next_argument()
local side = redis.call('HGET', KEYS[1], 'side') or ''
local allowed = side == to
for i = 2, #ARGV do
  allowed = allowed or ARGV[i] == side
end
if not allowed then
  return { 'is', side }
end
redis.call('HSET', KEYS[1], 'side', to)
return { 'turned', side }
