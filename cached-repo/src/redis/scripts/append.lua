-- Journals writes and makes their entries dirty (W).
--
-- KEYS: meta of the partition, journal, backlog, mark of this op, then for each write: entry,
--   intents, lease.
-- ARGV: op id, version above which it may have been journaled already ('' if it was not tried
--   before), most records and most bytes that are not drained, schema, member of the backlog, then
--   for each write: op, data ('' if the body says it), content.
-- Returns: 'written', epoch, journal, then the version of each write; or, with nothing changed,
--   'fenced'; 'kept', index (from 0); 'intended', ms to the last deadline; 'full'; 'overtaken'.
-- Atomic because: an entry must be dirty exactly while its write is in the journal.

local meta_key, journal, backlog, mark = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local op_id, tried_above = next_argument(), next_argument()
local records_max, bytes_max = tonumber(next_argument()), tonumber(next_argument())
local schema, member = next_argument(), next_argument()
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Not `meta_of`: this runs for every save.
local meta = redis.call('HMGET', meta_key, 'home', 'sealed', 'journal', 'epoch', 'clk', 'count',
  'bytes', 'acked_count', 'acked_bytes', 'tried_until')
if meta[1] ~= server_id(now) or meta[2] then
  return { 'fenced' }
end
local answer = { 'written', meta[4] or '0', meta[3] or '' }

-- The versions of this op id's records, the latest first. A version is the server's time at least, so
-- it is not below that of a moment ago, whatever server it was that the writer knew before.
local function tried()
  local a_moment_ago = time[1] * 1000000 + time[2] - TRIED_AGAIN_MS * 1000
  local above = text_of(math.max(0, math.min(tonumber(tried_above), a_moment_ago)))
  local found, upper, is_over = {}, '+', false
  repeat
    local page = redis.call('XREVRANGE', journal, upper, '(' .. above .. '-0', 'COUNT', 64)
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
if tried_above == '' and now < number(meta[10]) and redis.call('EXISTS', mark) == 1 then
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

-- Whether `redis_only` keeps the entry. The first look fails where it is of another type.
local function is_kept(key, content)
  local head
  if content.shape == 'document' then
    return state_of(key) == 'k'
  elseif content.shape ~= 'fields' then
    head = redis.pcall('GETRANGE', key, 0, 9)
    if type(head) == 'string' then
      return behind_head(head) == '1k'
    end
  else
    head = redis.pcall('HGET', key, '_cr')
    if type(head) ~= 'table' then
      return head and head:sub(1, 2) == '1k'
    end
  end
  return state_of(key) == 'k'
end

local writes, wait, added = {}, 0, 0
for i = 5, #KEYS, 3 do
  local write = { op = next_argument(), data = next_argument(), content = next_content() }
  if is_kept(KEYS[i], write.content) then
    return { 'kept', #writes }
  end
  -- Expired tokens stay: nothing may be written before the journal.
  local deadline = redis.call('ZREVRANGE', KEYS[i + 1], 0, 0, 'WITHSCORES')[2]
  if deadline then
    wait = math.max(wait, deadline - now)
  end
  if write.data == '' then
    write.data = '{' .. write.content.values[1]:match('^,?(.*)')
  end
  added = added + #write.data
  writes[#writes + 1] = write
end
if wait > 0 then
  return { 'intended', wait }
end
local count, bytes = number(meta[6]), number(meta[7])
local left, left_bytes = count - number(meta[8]), bytes - number(meta[9])
if left > 0 and (left + #writes > records_max or left_bytes + added > bytes_max) then
  return { 'full' }
end

-- What the last commands would find wrong must come up before the first.
local is_enlisted = redis.call('ZSCORE', backlog, member)
if redis.call('EXISTS', mark) == 0 then
  for _, write in ipairs(writes) do
    check_document(mark, write.content)
  end
end
local version = number(meta[5])
for i, write in ipairs(writes) do
  version = math.max(version + 1, time[1] * 1000000 + time[2])
  count, bytes = count + 1, bytes + #write.data
  local text = text_of(version)
  write.version, answer[#answer + 1] = version, text
  redis.call('XADD', journal, text .. '-0', 'op', write.op, 'data', write.data, 'schema', schema,
    'write', op_id, 'count', text_of(count), 'bytes', text_of(bytes), 'entry', KEYS[3 * i + 2])
end
redis.call('HSET', meta_key, 'clk', text_of(version), 'count', text_of(count),
  'bytes', text_of(bytes))
if not is_enlisted then
  redis.call('ZADD', backlog, answer[4], member)
end
if tried_above ~= '' then
  redis.call('SET', mark, '', 'PX', 60000)
  redis.call('HSET', meta_key, 'tried_until', text_of(now + 60000))
end
-- The generation of a partition with a journal is its epoch.
local generation = number(meta[4])
for i, write in ipairs(writes) do
  write_entry(KEYS[3 * i + 2], write.content, write.version, generation)
  redis.call('UNLINK', KEYS[3 * i + 4])
end
return answer
