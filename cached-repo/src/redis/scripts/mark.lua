-- Marks entries as changed that were there before changes were marked.
--
-- KEYS: meta of the partition, changed, expiring, then the entries.
-- ARGV: for each entry: its id.
-- Returns: nothing.
-- Atomic because: an entry that is deleted between the look at it and the mark would be no change any
--   more, and one that is written has a mark of its own.

local changed, expiring = KEYS[2], KEYS[3]
local side = redis.call('HGET', KEYS[1], 'side')
if side ~= 'k' and side ~= 'e' then
  return
end
local now = now_ms()
for i = 4, #KEYS do
  local head = head_of(KEYS[i])
  local id = next_argument()
  if head and head:match('^1k') then
    redis.call('ZADD', changed, 'NX', text_of(tonumber(head:sub(3, 18), 16)), id)
    local left = redis.call('PTTL', KEYS[i])
    if left > 0 then
      redis.call('ZADD', expiring, 'NX', now + left, id)
    end
  end
end
