-- Removes some of what is left of a partition that was given up: the entries of its oldest records.
--
-- KEYS: meta of the partition, generation of the partition, journal, backlog; and the entries that the
--   records name, which only the journal knows.
-- ARGV: journal's identity, epoch in which it was given up, member of the backlog, most records to look at.
-- Returns: 'refused' (nothing changed); 'more'; 'done', when all is gone.
-- Atomic because: nobody may recover the journal between the look at its meta and its removal, and no
--   entry may be written again between the look at its generation and its removal.

local meta_key, generation_key, journal, backlog = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local identity, epoch = next_argument(), tonumber(next_argument())
local member, most = next_argument(), next_argument()
local meta = meta_of(meta_key)
-- Another one, or recovered since: whoever asks knows less than this server.
if meta.home and (meta.journal ~= identity or number(meta.epoch) >= epoch) then
  return 'refused'
end
local page = redis.call('XRANGE', journal, '-', '+', 'COUNT', most)
-- First what needs no memory: there may be none. Without it the rest is no journal, so that nobody goes on
-- with a part of one.
redis.call('UNLINK', meta_key)
for _, record in ipairs(page) do
  local entry = field_of(record, 'entry')
  -- The generation of a journaled write is its epoch; that of another partition's is a later one.
  local generation = entry and journaled_generation(entry)
  if generation and generation < epoch then
    redis.call('UNLINK', entry)
  end
end
-- The next step begins with what is there then, maybe at a server that has other records.
if page[1] then
  trim(journal, number(version_of(page[#page])))
end
if redis.call('XRANGE', journal, '-', '+', 'COUNT', 1)[1] then
  return 'more'
end
redis.call('UNLINK', journal)
redis.call('ZREM', backlog, member)
redis.call('SET', generation_key, text_of(epoch))
return 'done'
