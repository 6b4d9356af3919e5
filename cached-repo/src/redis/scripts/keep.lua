-- Writes rows as the only copies, while a partition is imported by a move.
--
-- KEYS: meta of the partition, generation of the partition, changed, expiring, then for each row: entry,
--   lease.
-- ARGV: token of the move, then for each row: id, content.
-- Returns: 'written', '', then the version of each entry (text); or, with nothing changed, 'elsewhere', the
--   side of the partition.
-- Atomic because: an entry must not become the only copy between the look at it and the write, and none
--   may be written once the partition is open for writes, or another move has it.

local changed, expiring = KEYS[3], KEYS[4]
local token = next_argument()
local meta = redis.call('HMGET', KEYS[1], 'clk', 'side', 'turned_by')
local version = number(meta[1])
if meta[2] ~= 'i' or meta[3] ~= token then
  return { 'elsewhere', meta[2] or '' }
end
local generation = generation_of(KEYS[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answers = { 'written', '' }
for i = 5, #KEYS, 2 do
  local id, content = next_argument(), next_content()
  local head = head_of(KEYS[i])
  if head and head:match('^1k') then
    -- `redis_only` wrote it after the store did: it goes to the store.
    local kept = text_of(tonumber(head:sub(3, 18), 16))
    redis.call('ZADD', changed, 'NX', kept, id)
    local left = redis.call('PTTL', KEYS[i])
    if left > 0 then
      redis.call('ZADD', expiring, 'NX', now + left, id)
    end
    answers[#answers + 1] = kept
  else
    version = math.max(version + 1, time[1] * 1000000 + time[2])
    write_entry(KEYS[i], content, version, generation)
    if content.ttl > 0 then
      redis.call('ZADD', expiring, now + content.ttl, id)
    end
    redis.call('UNLINK', KEYS[i + 1])
    answers[#answers + 1] = text_of(version)
  end
end
redis.call('HSET', KEYS[1], 'clk', text_of(version))
return answers
