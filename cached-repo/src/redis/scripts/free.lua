-- Removes the only copies of an exported partition: the store has them.
--
-- KEYS: meta of the partition, then the entries.
-- ARGV: none.
-- Returns: how many were removed.
-- Atomic because: an entry must not be written between the look at it and its removal.

local freed = 0
if redis.call('HGET', KEYS[1], 'side') ~= 's' then
  return freed
end
for i = 2, #KEYS do
  if state_of(KEYS[i]) == 'k' then
    redis.call('UNLINK', KEYS[i])
    freed = freed + 1
  end
end
return freed
