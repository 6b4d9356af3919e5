-- Removes entries that are dirty although their writes are drained: a part of a transaction whose end
-- a power loss cut off.
--
-- KEYS: journal; and the entries that the records name, which only the journal knows.
-- ARGV: version behind which to look, the store's position, most records to look at.
-- Returns: the version of the last record that was looked at (text); nil at the end.
-- Atomic because: an entry must not be written again between the look at its version and its removal.

local journal = KEYS[1]
local after, last_id, most = next_argument(), tonumber(next_argument()), next_argument()
local page = redis.call('XRANGE', journal, '(' .. after .. '-0', text_of(last_id) .. '-0', 'COUNT', most)
local last
for _, record in ipairs(page) do
  local entry = field_of(record, 'entry')
  local version = entry and journaled_version(entry)
  if version and version <= last_id then
    redis.call('UNLINK', entry)
  end
  last = version_of(record)
end
return last
