-- Takes or renews the right to move an entity.
--
-- KEYS: claim.
-- ARGV: token, hold in ms.
-- Returns: 1 if the token has it, else 0.
-- Atomic because: two processes must not both find it free, and a renewal must not take it from another.

local token, hold = next_argument(), next_argument()
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= token then
  return 0
end
-- An export makes room, so it must begin where memory is used up: first a command that needs none.
redis.call('UNLINK', KEYS[1])
redis.call('SET', KEYS[1], token, 'PX', hold)
return 1
