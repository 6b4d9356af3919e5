-- Records facts that every process must agree on, where they are not recorded yet.
--
-- KEYS: registry of the entity.
-- ARGV: for each fact: name, value.
-- Returns: for each fact the value that is recorded now.
-- Atomic because: two processes that start at a time must read the same values.

local answers = {}
for i = 1, #ARGV, 2 do
  redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
  answers[#answers + 1] = redis.call('HGET', KEYS[1], ARGV[i])
end
return answers
