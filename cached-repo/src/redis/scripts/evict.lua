-- Removes copies.
--
-- KEYS: for each entry: entry, lease.
-- ARGV: none.
-- Returns: for each entry 1 if nothing of it is cached now, 0 if it is the only copy and stays.
-- Atomic because: an entry must not become the only copy between the check and the removal.

local answers = {}
for i = 1, #KEYS, 2 do
  local evicted = 0
  if not is_pinned(state_of(KEYS[i])) then
    redis.call('UNLINK', KEYS[i], KEYS[i + 1])
    evicted = 1
  end
  answers[#answers + 1] = evicted
end
return answers
