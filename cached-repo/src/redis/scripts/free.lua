-- Makes the only copies of an exported partition copies.
--
-- KEYS: meta of the partition, then the entries.
-- ARGV: time to live in ms.
-- Returns: how many became copies.
-- Atomic because: an entry must not be written between the look at it and its change.

local ttl = next_argument()
local freed = 0
if redis.call('HGET', KEYS[1], 'side') ~= 's' then
  return freed
end
for i = 2, #KEYS do
  local head, kind = head_of(KEYS[i])
  if head and head:match('^1k') then
    become_copy(KEYS[i], head, kind, 'c', ttl)
    freed = freed + 1
  end
end
return freed
