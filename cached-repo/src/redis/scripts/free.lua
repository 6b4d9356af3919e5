-- Removes what `redis_only` has left behind in a partition that the store has by now.
--
-- KEYS: meta of the partition, then the entries.
-- ARGV: token of the move that brought it there.
-- Returns: how many were removed; nil if the partition is elsewhere, or by another move.
-- Atomic because: an entry must not be written between the look at it and its removal.

local known = redis.call('HMGET', KEYS[1], 'side', 'turned_by')
if known[1] ~= 'l' and known[1] ~= 's' or (known[2] or '') ~= next_argument() then
  return false
end
local freed = 0
for i = 2, #KEYS do
  if state_of(KEYS[i]) == 'k' then
    redis.call('UNLINK', KEYS[i])
    freed = freed + 1
  end
end
return freed
