-- Journals writes and makes their entries dirty (W).
--
-- KEYS: meta of the partition, generation of the partition, journal, backlog, mark of this op, then
--   for each write: entry, intents, lease.
-- ARGV: op id, version above which it may have been journaled already ('' if it was not tried
--   before), most records and most bytes that are not drained, schema, member of the backlog, then
--   for each write: op, data ('' if the body says it), content.
-- Returns: 'written', epoch, journal, then the version of each write; or, with nothing changed,
--   'fenced'; 'kept', index (from 0); 'intended', ms to the last deadline; 'full'; 'overtaken'.
-- Atomic because: an entry must be dirty exactly while its write is in the journal.

local meta_key, journal, backlog, mark = KEYS[1], KEYS[3], KEYS[4], KEYS[5]
local op_id, tried_above = next_argument(), next_argument()
local records_max, bytes_max = tonumber(next_argument()), tonumber(next_argument())
local schema, member = next_argument(), next_argument()
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local meta = meta_of(meta_key)
if meta.home ~= server_id(now) or meta.sealed then
  return { 'fenced' }
end
local answer = { 'written', meta.epoch or '0', meta.journal or '' }

-- The versions of this op id's records, the latest first.
local function tried()
  local found, upper, is_over = {}, '+', false
  repeat
    local page = redis.call('XREVRANGE', journal, upper, '(' .. tried_above .. '-0', 'COUNT', 64)
    for _, record in ipairs(page) do
      if field_of(record, 'write') == op_id then
        found[#found + 1] = version_of(record)
      end
      upper = '(' .. record[1]
      is_over = #found > 0 and field_of(record, 'write') ~= op_id
    end
  until #page < 64 or is_over
  return found
end

-- A server that was stopped for a while may get to a first attempt after its successor.
if tried_above == '' and redis.call('EXISTS', mark) == 1 then
  return { 'overtaken' }
end
if tried_above ~= '' then
  local found = tried()
  for i = #found, 1, -1 do
    answer[#answer + 1] = found[i]
  end
  if #found > 0 then
    return answer
  end
end

local writes, wait, added = {}, 0, 0
for i = 6, #KEYS, 3 do
  local write = { op = next_argument(), data = next_argument(), content = next_content() }
  if state_of(KEYS[i]) == 'k' then
    return { 'kept', #writes }
  end
  -- Expired tokens stay: nothing may be written before the journal.
  local deadline = redis.call('ZREVRANGE', KEYS[i + 1], 0, 0, 'WITHSCORES')[2]
  wait = math.max(wait, number(deadline) - now)
  if write.data == '' then
    write.data = '{' .. write.content.values[1]:match('^,?(.*)')
  end
  added = added + #write.data
  writes[#writes + 1] = write
end
if wait > 0 then
  return { 'intended', wait }
end
local count, bytes = number(meta.count), number(meta.bytes)
local left, left_bytes = count - number(meta.acked_count), bytes - number(meta.acked_bytes)
if left > 0 and (left + #writes > records_max or left_bytes + added > bytes_max) then
  return { 'full' }
end

-- What the last commands would find wrong must come up before the first.
redis.call('ZSCORE', backlog, member)
local generation = generation_of(KEYS[2])
local version = number(meta.clk)
for i, write in ipairs(writes) do
  version = math.max(version + 1, time[1] * 1000000 + time[2])
  count, bytes = count + 1, bytes + #write.data
  write.version, answer[#answer + 1] = version, text_of(version)
  redis.call('XADD', journal, text_of(version) .. '-0', 'op', write.op, 'data', write.data,
    'schema', schema, 'write', op_id, 'count', text_of(count), 'bytes', text_of(bytes),
    'entry', KEYS[3 * i + 3])
end
redis.call('HSET', meta_key, 'clk', text_of(version), 'count', text_of(count),
  'bytes', text_of(bytes))
redis.call('ZADD', backlog, 'NX', answer[4], member)
if tried_above ~= '' then
  redis.call('SET', mark, '', 'PX', 60000)
end
for i, write in ipairs(writes) do
  write_entry(KEYS[3 * i + 3], write.content, write.version, generation)
  redis.call('UNLINK', KEYS[3 * i + 5])
end
return answer
