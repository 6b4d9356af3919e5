-- Tells whether a partition's journal still is the one that writes were appended to. Behind it, on the
-- same connection, the server is asked who has what it has.
--
-- KEYS: meta of the partition.
-- ARGV: journal, epoch.
-- Returns: 1 if the journal is at home on this server, in this epoch, else 0.
-- Atomic because: a server that takes over in between must not be asked for what another one took.

local journal, epoch = next_argument(), next_argument()
local now = now_ms()
local meta = redis.call('HMGET', KEYS[1], 'home', 'journal', 'epoch')
if meta[1] ~= server_id(now) or meta[2] ~= journal or number(meta[3]) ~= number(epoch) then
  return 0
end
-- A server waits for the last write of the connection that asks. Where memory is used up the first
-- command must need none.
redis.call('HDEL', KEYS[1], 'confirmed')
redis.call('HSET', KEYS[1], 'confirmed', text_of(now))
return 1
