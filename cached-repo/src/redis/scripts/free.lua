-- Removes the only copies of a partition that the store has, while it is exported or after that.
--
-- KEYS: meta of the partition, then the entries.
-- ARGV: none.
-- Returns: how many were removed.
-- Atomic because: an entry must not be written between the look at it and its removal.

local freed = 0
local side = redis.call('HGET', KEYS[1], 'side')
if side ~= 'e' and side ~= 's' then
  return freed
end
for i = 2, #KEYS do
  if state_of(KEYS[i]) == 'k' then
    redis.call('UNLINK', KEYS[i])
    freed = freed + 1
  end
end
return freed
