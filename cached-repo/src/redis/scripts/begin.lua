-- Announces a store-first write (BEGIN_WRITE).
--
-- KEYS: meta of the partition, generation of the partition, then for each entry: entry, intents,
--   lease.
-- ARGV: token, hold in ms.
-- Returns: 'begun', epoch, generation; or, with nothing changed, 'fenced'; 'dirty', index;
--   'kept', index (from 0).
-- Atomic because: an entry must not become dirty between the check and the token, and no reader may
-- fill between the removal of the entry and the token.

local token, hold = next_argument(), tonumber(next_argument())
local now = now_ms()
local meta = redis.call('HMGET', KEYS[1], 'home', 'acked', 'side')
local home, acked = meta[1], number(meta[2])
if is_redis_only(meta[3]) then
  return { 'kept', 0 }
end
if home and home ~= server_id(now) then
  return { 'fenced' }
end
for i = 3, #KEYS, 3 do
  local state = state_of(KEYS[i])
  if state == 'k' and meta[3] ~= 's' then
    return { 'kept', (i - 3) / 3 }
  elseif state ~= 'k' and is_pinned(state) and journaled_version(KEYS[i]) > acked then
    return { 'dirty', (i - 3) / 3 }
  end
end
for i = 3, #KEYS, 3 do
  local entry, intents, lease = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  redis.call('ZREM', intents, token)
  local others = live_intents(intents, now)
  redis.call('ZADD', intents, now + hold, token)
  if others > 0 then
    redis.call('ZADD', intents, 0, 'overlap')
  end
  local last = redis.call('ZREVRANGE', intents, 0, 0, 'WITHSCORES')[2]
  redis.call('PEXPIREAT', intents, last)
  redis.call('UNLINK', entry, lease)
end
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0)
return { 'begun', epoch, generation_of(KEYS[2]) }
