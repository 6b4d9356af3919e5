-- Ends a store-first write (END_WRITE).
--
-- KEYS: meta of the partition, generation of the partition, then for each entry: entry, intents,
--   lease.
-- ARGV: for each entry: token, epoch and generation of the begin, content ('' only removes).
-- Returns: for each entry 1 if it was put, else 0.
-- Atomic because: whether this writer was alone is only true at one moment, and the entry must be
-- put at that moment.

local epoch_now = tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0)
local generation_now = generation_of(KEYS[2])
local now = now_ms()
local answers = {}
for i = 3, #KEYS, 3 do
  local entry, intents, lease = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  local token = next_argument()
  local epoch, generation = tonumber(next_argument()), tonumber(next_argument())
  local content = next_content()
  live_intents(intents, now)
  local overlapped = redis.call('ZSCORE', intents, 'overlap')
  local had = redis.call('ZREM', intents, token) == 1
  local others = live_intents(intents, now)
  if others > 0 and not had then
    -- This writer may have written after those that are still there began: they must not put.
    redis.call('ZADD', intents, 0, 'overlap')
  end
  local put = 0
  if not is_pinned(state_of(entry)) then
    if content and had and others == 0 and not overlapped
      and epoch == epoch_now and generation == generation_now then
      write_entry(entry, content, 0, generation)
      put = 1
    else
      redis.call('UNLINK', entry)
    end
  end
  redis.call('UNLINK', lease)
  answers[#answers + 1] = put
end
return answers
