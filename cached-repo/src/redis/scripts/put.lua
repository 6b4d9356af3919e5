-- Writes entries that are the only copy (redis_only).
--
-- KEYS: meta of the partition, generation of the partition, changed, expiring, refused, then for each
--   write: entry, lease.
-- ARGV: '1' if it is asked which server this is, then for each write: id, content ('' deletes).
-- Returns: 'written', the server ('' if nobody asked), then the version of each write (text); or, with
--   nothing changed, 'dirty', index (from 0); 'elsewhere', the side of the partition on which this may not write.
-- Atomic because: versions of a partition must grow in the order in which entries are written, and a
--   change that is not marked would never be copied.

local changed, expiring, refused = KEYS[3], KEYS[4], KEYS[5]
local is_asked = next_argument() == '1'
local meta = redis.call('HMGET', KEYS[1], 'clk', 'side')
local version, side = number(meta[1]), meta[2] or ''
if side ~= '' and side ~= 'k' then
  return { 'elsewhere', side }
end
for i = 6, #KEYS, 2 do
  local state = state_of(KEYS[i])
  if state == 'd' or state == 't' then
    return { 'dirty', (i - 6) / 2 }
  end
end
local generation = generation_of(KEYS[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answers, writes = { 'written', is_asked and server_id(now) or '' }, {}
for i = 6, #KEYS, 2 do
  local write = { id = next_argument(), content = next_content() }
  redis.call('UNLINK', KEYS[i + 1])
  if write.content then
    -- An old entry is removed first, and is the only copy: nothing may be refused behind the first write.
    check_document(KEYS[i + 1], write.content)
  end
  writes[i] = write
end
for i = 6, #KEYS, 2 do
  local entry, id, content = KEYS[i], writes[i].id, writes[i].content
  version = math.max(version + 1, time[1] * 1000000 + time[2])
  if content then
    write_entry(entry, content, version, generation)
  else
    redis.call('UNLINK', entry)
  end
  if side == 'k' then
    redis.call('ZADD', changed, text_of(version), id)
    redis.call('ZREM', refused, id)
    if content and content.ttl > 0 then
      redis.call('ZADD', expiring, now + content.ttl, id)
    else
      redis.call('ZREM', expiring, id)
    end
  end
  answers[#answers + 1] = string.format('%d', version)
end
redis.call('HSET', KEYS[1], 'clk', string.format('%d', version))
return answers
