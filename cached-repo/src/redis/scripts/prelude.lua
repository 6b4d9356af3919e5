-- Functions that the scripts share; put in front of each of them.
--
-- KEYS: none of its own.
-- ARGV: none of its own.
-- Returns: nothing.
-- Atomic because: it is part of the script that it precedes.
--
-- In a function library it runs once, when the library is loaded; as part of a script, at each call.

-- Server time in milliseconds.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Which server this is: the process, and the replication history that a promoted replica begins. A
-- library remembers it for a moment, as INFO is slow.
local server, asked_at
local function server_id(now)
  if not server or now < asked_at or now - asked_at >= 250 then
    local run = redis.call('INFO', 'server'):match('run_id:(%x+)')
    local history = redis.call('INFO', 'replication'):match('master_replid:(%x+)')
    server, asked_at = assert(run and history and run .. '/' .. history, 'INFO lacks run_id'), now
  end
  return server
end

-- What stands in front of the envelope in a string: in JSON, and in MessagePack. Both are of one length.
local HEADS = { text = '{"_cr":"', packed = '\131\163_cr\218\0\054' }

-- What TYPE answers for a document. Its text is as in JSON.
local DOCUMENT = 'ReJSON-RL'

-- What follows the head of an entry's string; '' where it has none.
local function behind_head(start)
  local head = start:sub(1, 8)
  return (head == HEADS.text or head == HEADS.packed) and start:sub(9) or ''
end

-- The beginning of the entry's envelope ('' without one), to its generation at least, and the entry's
-- type; nil without an entry.
local function head_of(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then
    return nil
  end
  local head
  if kind == 'string' then
    head = behind_head(redis.call('GETRANGE', key, 0, 33)):match('^1%a.*')
  elseif kind == 'hash' then
    head = (redis.call('HGET', key, '_cr') or ''):match('^1%a.*')
  elseif kind == DOCUMENT then
    -- All members of this name, as a list.
    head = redis.call('JSON.GET', key, '$._cr'):match('^%["(1%a[^"]*)"%]$')
  end
  return head or '', kind
end

-- The letter of the entry's state ('-' without an envelope) and its type; nil without an entry.
local function state_of(key)
  local head, kind = head_of(key)
  return head and (head:match('^1(%a)') or '-'), kind
end

-- The version of an entry that holds a journaled write (dirty, tombstone); nil if it does not.
local function journaled_version(key)
  local head = head_of(key)
  return head and head:match('^1[dt]') and tonumber(tonumber(head:sub(3, 18), 16))
end

-- The generation of such an entry: the epoch in which it was journaled.
local function journaled_generation(key)
  local head = head_of(key)
  return head and head:match('^1[dt]') and tonumber(head:sub(19, 26), 16)
end

-- Kept, dirty, tombstone: entries that hold what the store does not.
local function is_pinned(state)
  return state == 'k' or state == 'd' or state == 't'
end

local function generation_of(key)
  return tonumber(redis.call('GET', key) or 0)
end

-- Forgets the tokens whose deadline has passed and tells how many live. The member 'overlap' has
-- score 0: it marks that two tokens were there at a time, and goes with the last of them.
local function live_intents(key, now)
  if redis.call('EXISTS', key) == 0 then
    return 0
  end
  redis.call('ZREMRANGEBYSCORE', key, '(0', now)
  local live = redis.call('ZCOUNT', key, '(0', '+inf')
  if live == 0 then
    redis.call('UNLINK', key)
  end
  return live
end

-- Reads the arguments of this call one by one.
local arguments, position
local function start(given)
  arguments, position = given, 0
end
local function next_argument()
  position = position + 1
  return arguments[position]
end

-- The content of an entry: state letter ('' for none), stamp, time to live in ms (0 for ever),
-- 'text', 'packed', 'document' or 'fields', and the counted values.
local function next_content()
  local state = next_argument()
  if state == '' then
    return nil
  end
  local content = {
    state = state,
    stamp = next_argument(),
    ttl = tonumber(next_argument()),
    shape = next_argument(),
    values = {},
  }
  for i = 1, tonumber(next_argument()) do
    content.values[i] = next_argument()
  end
  return content
end

local function document_of(content, envelope)
  return HEADS.text .. envelope .. '"' .. content.values[1]
end

-- Fails if a document is to be written that the server refuses, or nobody may write. Changes nothing:
-- there must be nothing under this key. A script that fails later is not rolled back.
local function check_document(unused, content)
  if content.shape == 'document' then
    redis.call('JSON.SET', unused, '$', document_of(content, ''), 'XX')
  end
end

-- Writes an entry, whatever was under its key.
local function write_entry(key, content, version, generation)
  local envelope = string.format('1%s%016x%08x%s', content.state, version, generation, content.stamp)
  local head = HEADS[content.shape]
  if head then
    local text = head .. envelope .. (content.shape == 'text' and '"' or '') .. content.values[1]
    if content.ttl > 0 then
      redis.call('SET', key, text, 'PX', content.ttl)
    else
      redis.call('SET', key, text)
    end
  else
    redis.call('UNLINK', key)
    if content.shape == 'document' then
      redis.call('JSON.SET', key, '$', document_of(content, envelope))
    else
      redis.call('HSET', key, '_cr', envelope)
      -- A call takes some thousand values.
      for i = 1, #content.values, 1000 do
        redis.call('HSET', key, unpack(content.values, i, math.min(i + 999, #content.values)))
      end
    end
    if content.ttl > 0 then
      redis.call('PEXPIRE', key, content.ttl)
    end
  end
end

-- A number as Redis keeps it. Lua writes large ones with an exponent.
local function number(text)
  return tonumber(text or 0)
end
local function text_of(value)
  return string.format('%d', value)
end

-- A write of which its writer does not know whether it happened is tried again no later than this.
local TRIED_AGAIN_MS = 5000

-- What is known of a partition. A client gets the first of these.
local FIELDS = {
  'home', 'journal', 'epoch', 'clk', 'acked', 'trimmed', 'count', 'bytes', 'acked_count',
  'acked_bytes', 'sealed', 'news', 'side', 'turned_by', 'copies_epoch', 'ticket', 'mark_id', 'mark_at',
  'mark_bytes',
}
local SHOWN = 15

-- Whether the strategies with a store may not write on this side of a partition: `redis_only` keeps it
-- (k), or it is imported (i) or exported (e, then l) right now. On the store's side (s) `redis_only` may not.
local function is_redis_only(side)
  return side == 'k' or side == 'i' or side == 'e' or side == 'l'
end

-- For a client: '' for what is missing, and the server that answers at the end.
local function shown_meta(key, now)
  local values = redis.call('HMGET', key, unpack(FIELDS, 1, SHOWN))
  for i = 1, SHOWN do
    values[i] = values[i] or ''
  end
  values[SHOWN + 1] = server_id(now)
  return values
end

-- For a script: texts by name, false for what is missing.
local function meta_of(key)
  local meta, values = {}, redis.call('HMGET', key, unpack(FIELDS))
  for i = 1, #FIELDS do
    meta[FIELDS[i]] = values[i]
  end
  return meta
end

-- The value of a field of a journal's record, as a range command answers it.
local function field_of(record, name)
  local fields = record[2]
  for i = 1, #fields, 2 do
    if fields[i] == name then
      return fields[i + 1]
    end
  end
  return nil
end

local function version_of(record)
  return record[1]:match('^%d+')
end

-- How many records and bytes of data were appended up to a position, and the version of the first
-- record above it. Where there is none, they are all that ever were.
local function standing_at(journal, position, meta)
  local page = redis.call('XRANGE', journal, text_of(position) .. '-0', '+', 'COUNT', 2)
  local first = page[1]
  if not first then
    return number(meta.count), number(meta.bytes), nil
  end
  local count, bytes = tonumber(field_of(first, 'count')), tonumber(field_of(first, 'bytes'))
  if not count or not bytes then
    -- Somebody else added it.
    return number(meta.acked_count), number(meta.acked_bytes), version_of(first)
  end
  if number(version_of(first)) == position then
    return count, bytes, page[2] and version_of(page[2])
  end
  return count - 1, bytes - #(field_of(first, 'data') or ''), version_of(first)
end

-- Says in the backlog which record is the oldest that is not drained, if there is one.
local function enlist(backlog, member, oldest)
  if oldest then
    redis.call('ZADD', backlog, oldest, member)
  else
    redis.call('ZREM', backlog, member)
  end
end

-- Removes the records up to a version.
local function trim(journal, version)
  redis.call('XTRIM', journal, 'MINID', text_of(version + 1) .. '-0')
end
