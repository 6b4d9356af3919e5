-- Tells whether this is the server that took writes, and a partition's journal still the one that they were
-- appended to. Behind it, on the same connection, the server is asked who has what it has.
--
-- KEYS: meta of the partition.
-- ARGV: the server, if they are beside all journals, else ''; journal, epoch.
-- Returns: 1 if this is that server, or the journal is at home on this one, in this epoch; else 0.
-- Atomic because: a server that takes over in between must not be asked for what another one took.

local taken_by, journal, epoch = next_argument(), next_argument(), next_argument()
local now = now_ms()
local here = server_id(now)
if taken_by == '' then
  local meta = redis.call('HMGET', KEYS[1], 'home', 'journal', 'epoch')
  if meta[1] ~= here or meta[2] ~= journal or number(meta[3]) ~= number(epoch) then
    return 0
  end
elseif taken_by ~= here then
  return 0
end
-- A server waits for the last write of the connection that asks. Where memory is used up the first
-- command must need none.
redis.call('HDEL', KEYS[1], 'confirmed')
redis.call('HSET', KEYS[1], 'confirmed', text_of(now))
return 1
