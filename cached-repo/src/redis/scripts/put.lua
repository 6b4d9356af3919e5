-- Writes entries that are the only copy (redis_only).
--
-- KEYS: meta of the partition, generation of the partition, then for each write: entry, lease.
-- ARGV: for each write: content ('' deletes).
-- Returns: 'written', then the version of each write (text); or, with nothing changed, 'dirty',
--   index (from 0).
-- Atomic because: versions of a partition must grow in the order in which entries are written.

for i = 3, #KEYS, 2 do
  local state = state_of(KEYS[i])
  if state == 'd' or state == 't' then
    return { 'dirty', (i - 3) / 2 }
  end
end
local generation = generation_of(KEYS[2])
local time = redis.call('TIME')
local version = tonumber(redis.call('HGET', KEYS[1], 'clk') or 0)
local answers = { 'written' }
for i = 3, #KEYS, 2 do
  local entry, lease = KEYS[i], KEYS[i + 1]
  version = math.max(version + 1, time[1] * 1000000 + time[2])
  local content = next_content()
  redis.call('UNLINK', lease)
  if content then
    -- The old entry is removed first, and is the only copy.
    check_document(lease, content)
    write_entry(entry, content, version, generation)
  else
    redis.call('UNLINK', entry)
  end
  answers[#answers + 1] = string.format('%d', version)
end
redis.call('HSET', KEYS[1], 'clk', string.format('%d', version))
return answers
