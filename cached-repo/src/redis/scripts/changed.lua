-- Takes or renews the right to copy a partition, and tells what changed since it was copied.
--
-- KEYS: meta of the partition, changed, expiring, refused, claim.
-- ARGV: token, hold in ms, last version that is meant ('': all until now), most ids, '1' if refused
--   ones are to be tried again.
-- Returns: nil if another process has the right; else the side, who turned it there, the last version that
--   is meant now, how many ids are left, '1' if more have expired or are to be tried again, then id and version of each.
-- Atomic because: an id that stops to be one that expires, or one that was refused, must be one that
--   changed, and two processes must not both find the right free.

local changed, expiring, refused, claim = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, hold, upper, most = next_argument(), next_argument(), next_argument(), next_argument()
local retry = next_argument() == '1'
local holder = redis.call('GET', claim)
if holder and holder ~= token then
  return false
end
-- Copying makes room, so it must begin where memory is used up: first a command that needs none.
redis.call('UNLINK', claim)
redis.call('SET', claim, token, 'PX', hold)
local known = redis.call('HMGET', KEYS[1], 'side', 'clk', 'turned_by')
local time = redis.call('TIME')
local version, is_more = number(known[2]), '0'

-- What was that is a change from now on, so that a report of an earlier look leaves it alone.
local function change_all(set, found)
  for _, id in ipairs(found) do
    version = math.max(version + 1, time[1] * 1000000 + time[2])
    redis.call('ZADD', changed, text_of(version), id)
    redis.call('ZREM', set, id)
  end
  if #found > 0 then
    redis.call('HSET', KEYS[1], 'clk', text_of(version))
    upper = ''
  end
  if #found == tonumber(most) then
    is_more = '1'
  end
end
change_all(expiring, redis.call('ZRANGEBYSCORE', expiring, '-inf', '(' .. now_ms(), 'LIMIT', 0, most))
if retry then
  change_all(refused, redis.call('ZRANGEBYSCORE', refused, '-inf', '+inf', 'LIMIT', 0, most))
end
if upper == '' then
  upper = text_of(version)
end
local answer = {
  known[1] or '', known[3] or '', upper, text_of(redis.call('ZCARD', changed)), is_more,
}
local page = redis.call('ZRANGEBYSCORE', changed, '-inf', upper, 'WITHSCORES', 'LIMIT', 0, most)
for i = 1, #page, 2 do
  answer[#answer + 1] = page[i]
  answer[#answer + 1] = text_of(tonumber(page[i + 1]))
end
return answer
