-- Replaces a fact that every process must agree on.
--
-- KEYS: registry of the entity.
-- ARGV: name, the value that is recorded ('' where none is), the new value.
-- Returns: 1 if the new value is recorded now, 0 if another one was recorded meanwhile.
-- Atomic because: of two that replace a fact at a time only one may go on.

local name, before, after = next_argument(), next_argument(), next_argument()
local found = redis.call('HGET', KEYS[1], name) or ''
if found ~= before and found ~= after then
  return 0
end
redis.call('HSET', KEYS[1], name, after)
return 1
