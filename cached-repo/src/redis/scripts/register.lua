-- Records facts that every process must agree on, where they are not recorded yet.
--
-- KEYS: registry of the entity.
-- ARGV: for each fact: name, value ('' only asks).
-- Returns: for each fact the value that is recorded now ('' where none is).
-- Atomic because: two processes that start at a time must read the same values.

local answers = {}
for i = 1, #ARGV, 2 do
  if ARGV[i + 1] ~= '' then
    redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
  end
  answers[#answers + 1] = redis.call('HGET', KEYS[1], ARGV[i]) or ''
end
return answers
