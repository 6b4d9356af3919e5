-- Removes copies.
--
-- KEYS: meta of the partition, then for each entry: entry, lease.
-- ARGV: none.
-- Returns: for each entry 1 if nothing of it is cached now, 0 if it is the only copy and stays.
-- Atomic because: an entry must not become the only copy between the check and the removal.

local acked = number(redis.call('HGET', KEYS[1], 'acked'))
local answers = {}
for i = 2, #KEYS, 2 do
  local evicted = 0
  -- What is drained and dirty all the same is of a transaction whose end a power loss cut off.
  local drained = (journaled_version(KEYS[i]) or math.huge) <= acked
  if drained or not is_pinned(state_of(KEYS[i])) then
    redis.call('UNLINK', KEYS[i], KEYS[i + 1])
    evicted = 1
  end
  answers[#answers + 1] = evicted
end
return answers
