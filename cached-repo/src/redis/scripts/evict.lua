-- Removes copies.
--
-- KEYS: meta of the partition, then for each entry: entry, lease.
-- ARGV: none.
-- Returns: for each entry 1 if nothing of it is cached now, 0 if it is the only copy and stays.
-- Atomic because: an entry must not become the only copy between the check and the removal.

local meta = redis.call('HMGET', KEYS[1], 'acked', 'side')
local acked = number(meta[1])
local answers = {}
for i = 2, #KEYS, 2 do
  local evicted = 0
  -- What is drained and dirty all the same is of a transaction whose end a power loss cut off.
  local drained = (journaled_version(KEYS[i]) or math.huge) <= acked
  local state = state_of(KEYS[i])
  if drained or not is_pinned(state) or state == 'k' and meta[2] == 's' then
    redis.call('UNLINK', KEYS[i], KEYS[i + 1])
    evicted = 1
  end
  answers[#answers + 1] = evicted
end
return answers
