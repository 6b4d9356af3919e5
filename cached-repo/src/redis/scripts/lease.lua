-- Takes the right to fill entries that a reader missed.
--
-- KEYS: meta of the partition, generation of the partition, then for each entry: entry, intents, lease.
-- ARGV: token, hold in ms, type of the reader's format, then for each entry: '1' if the entry that
--   is there may be replaced. One of another type may always be, unless it is pinned.
-- Returns: the generation, then for each entry 'granted', 'held', 'blocked' or 'present'.
-- Atomic because: between "nobody writes" and the lease a writer could begin, and its removal of
-- the lease would come too early.

local generation = generation_of(KEYS[2])
-- Rows are copies of what `redis_only` kept a while ago.
local is_kept = is_redis_only(redis.call('HGET', KEYS[1], 'side'))
local token, hold, wanted = next_argument(), next_argument(), next_argument()
local now = now_ms()
local answers = { generation }
for i = 3, #KEYS, 3 do
  local entry, intents, lease = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  local replace = next_argument() == '1'
  local state, kind = state_of(entry)
  local answer
  if live_intents(intents, now) > 0 then
    answer = 'blocked'
  elseif is_pinned(state) or kind == wanted and not replace then
    answer = 'present'
  elseif is_kept then
    answer = 'blocked'
  elseif redis.call('SET', lease, token, 'NX', 'PX', hold) then
    answer = 'granted'
  else
    answer = 'held'
  end
  answers[#answers + 1] = answer
end
return answers
