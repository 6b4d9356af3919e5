-- Fills entries from rows that were loaded under a lease.
--
-- KEYS: generation of the partition, then for each entry: entry, intents, lease.
-- ARGV: token, then for each entry: generation at the lease, content ('' only returns the lease).
-- Returns: for each entry 1 if the lease was still the reader's and nobody wrote meanwhile, else 0.
-- Atomic because: a writer that begins between the check of the lease and the write of the entry
-- would leave the row from before its write in the cache.

local current = generation_of(KEYS[1])
local token = next_argument()
local now = now_ms()
local answers = {}
for i = 2, #KEYS, 3 do
  local entry, intents, lease = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  local generation = tonumber(next_argument())
  local content = next_content()
  local filled = 0
  if redis.call('GET', lease) == token then
    if live_intents(intents, now) == 0 and generation == current
      and not is_pinned(state_of(entry)) then
      if content then
        write_entry(entry, content, 0, current)
      end
      filled = 1
    end
    redis.call('UNLINK', lease)
  end
  answers[#answers + 1] = filled
end
return answers
