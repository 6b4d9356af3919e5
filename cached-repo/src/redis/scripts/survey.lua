-- Takes or renews the right to survey an entity, and says how far the survey is.
--
-- KEYS: survey of the entity.
-- ARGV: token, hold in ms, how far it is now ('' only asks): a cursor, or 'done'.
-- Returns: nil if another process has the right, else how far it is.
-- Atomic because: two processes must not both find the right free.

local token, hold, at = next_argument(), next_argument(), next_argument()
local now = now_ms()
local known = redis.call('HMGET', KEYS[1], 'server', 'at', 'token', 'until')
if known[3] and known[3] ~= token and number(known[4]) > now then
  return false
end
local server = server_id(now)
-- A cursor means nothing to another server, which may lack what the first one had: nor does progress that
-- was made on another one.
if at == '' or known[1] and known[1] ~= server then
  at = known[1] == server and known[2] or '0'
end
local until_ms = at == 'done' and 0 or now + hold
-- An export, which makes room, asks first whether everything is marked: first a command that needs no memory.
redis.call('HDEL', KEYS[1], 'until')
redis.call('HSET', KEYS[1], 'server', server, 'at', at, 'token', token, 'until', text_of(until_ms))
return at
