-- Removes what is left of a partition that was given up: the entries of its journal first.
--
-- KEYS: meta of the partition, generation of the partition, journal, backlog; and the entries that the
--   records name, which only the journal knows.
-- ARGV: version behind which to look, epoch in which it was given up, member of the backlog, most records
--   to look at.
-- Returns: the version of the last record that was looked at (text); nil at the end, when all is gone.
-- Atomic because: an entry must not be written again between the look at its generation and its removal.

local meta_key, generation_key, journal, backlog = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local after, epoch = next_argument(), tonumber(next_argument())
local member, most = next_argument(), next_argument()
local page = redis.call('XRANGE', journal, '(' .. after .. '-0', '+', 'COUNT', most)
local last
for _, record in ipairs(page) do
  local entry = field_of(record, 'entry')
  -- The generation of a journaled write is its epoch; that of another partition's is a later one.
  local generation = entry and journaled_generation(entry)
  if generation and generation <= epoch then
    redis.call('UNLINK', entry)
  end
  last = version_of(record)
end
if last then
  return last
end
-- First what needs no memory: there may be none.
redis.call('UNLINK', journal, meta_key)
redis.call('ZREM', backlog, member)
redis.call('SET', generation_key, text_of(epoch))
return false
