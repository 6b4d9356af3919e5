-- Says what became of changes that were to be copied.
--
-- KEYS: meta of the partition, changed, refused, claim.
-- ARGV: token, hold in ms, then for each id: id, version, 'd' if the store has it, 'r' if it refused
--   it, 'l' if it is to be tried later.
-- Returns: how many ids are left.
-- Atomic because: an id must not change again between the look at its version and its removal.

local changed, refused, claim = KEYS[2], KEYS[3], KEYS[4]
local token, hold = next_argument(), next_argument()
if redis.call('GET', claim) == token then
  redis.call('PEXPIRE', claim, hold)
end
local time = redis.call('TIME')
local clock = number(redis.call('HGET', KEYS[1], 'clk'))
for i = 3, #ARGV, 3 do
  local id, version, fate = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local found = redis.call('ZSCORE', changed, id)
  if found and tonumber(found) == tonumber(version) then
    -- First what needs no memory: copying makes room.
    redis.call('ZREM', changed, id)
    if fate == 'l' then
      clock = math.max(clock + 1, time[1] * 1000000 + time[2])
      redis.call('ZADD', changed, text_of(clock), id)
      redis.call('HSET', KEYS[1], 'clk', text_of(clock))
    elseif fate == 'r' then
      redis.call('ZADD', refused, version, id)
    end
  end
end
return redis.call('ZCARD', changed)
