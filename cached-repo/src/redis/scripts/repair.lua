-- Ends a recovery: makes this server the journal's home (R, step 2).
--
-- KEYS: meta of the partition, generation of the partition, journal, backlog; and the entries that
--   the records name, which only the journal knows.
-- ARGV: ticket, epoch, epoch from which on a journal is up to date, journal's identity, the store's
--   position, member of the backlog, '1' if it is no news that the journal goes on, '1' if it is none
--   that there is nothing.
-- Returns: 'overtaken' (nothing changed); 'kept', records left to drain; 'replaced', records thrown
--   away.
-- Atomic because: no write may be journaled between the look at the journal and its new epoch.

local meta_key, generation_key, journal, backlog = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ticket, epoch, settled = next_argument(), tonumber(next_argument()), tonumber(next_argument())
local identity, last_id, member = next_argument(), tonumber(next_argument()), next_argument()
local expects_kept, expects_empty = next_argument() == '1', next_argument() == '1'
local meta = meta_of(meta_key)
local home = server_id(now_ms())
if meta.ticket ~= ticket .. ' ' .. home then
  return { 'overtaken' }
end
local is_current = number(meta.epoch) >= settled
local is_ours = is_current and meta.home and meta.journal == identity
local is_home = is_current and meta.home == home and not meta.sealed

-- Removes the entries of these records, unless they have a later version; tells how many records
-- are above the store's position.
local function forget(lower, upper, latest)
  local above = 0
  repeat
    local page = redis.call('XRANGE', journal, lower, upper, 'COUNT', 64)
    for _, record in ipairs(page) do
      local entry = field_of(record, 'entry')
      local version = entry and journaled_version(entry)
      if version and version <= latest then
        redis.call('UNLINK', entry)
      end
      if number(version_of(record)) > last_id then
        above = above + 1
      end
      lower = '(' .. record[1]
    end
  until #page < 64
  return above
end

-- First a command that changes nothing, needs no memory, and refuses a key that is no journal.
trim(journal, number(meta.trimmed))
redis.call('ZSCORE', backlog, member)
redis.call('HDEL', meta_key, 'ticket')
-- A transaction whose end a power loss cut off is undone when Redis loads its file the first time, and
-- there is a part of it the second time: records first.
local last = redis.call('XREVRANGE', journal, '+', '-', 'COUNT', 1)[1]
local clock = math.max(number(meta.clk), last_id, number(last and version_of(last)))
redis.call('HSET', meta_key, 'clk', text_of(clock))
local answer
if is_home then
  epoch = math.max(epoch, number(meta.epoch))
  answer = { 'kept', text_of(number(meta.count) - number(meta.acked_count)) }
else
  redis.call('HDEL', meta_key, 'sealed', 'mark_id', 'mark_at', 'mark_bytes')
  local acked, trimmed = math.min(number(meta.acked), last_id), number(meta.trimmed)
  local count = math.max(number(meta.count), number(last and field_of(last, 'count')))
  local bytes = math.max(number(meta.bytes), number(last and field_of(last, 'bytes')))
  local acked_count, acked_bytes, oldest
  if is_ours then
    -- The store may have later writes of these ids, which this server never saw.
    forget('(' .. text_of(acked) .. '-0', text_of(last_id) .. '-0', last_id)
    acked_count, acked_bytes, oldest = standing_at(journal, acked, meta)
    answer = { 'kept', text_of(count - acked_count) }
  else
    answer = { 'replaced', text_of(forget('-', '+', math.huge)) }
    redis.call('UNLINK', journal)
    acked, trimmed, count, bytes, acked_count, acked_bytes = last_id, last_id, 0, 0, 0, 0
  end
  redis.call('HSET', meta_key, 'home', home, 'journal', identity, 'acked', text_of(acked),
    'trimmed', text_of(trimmed), 'count', text_of(count), 'bytes', text_of(bytes),
    'acked_count', text_of(acked_count), 'acked_bytes', text_of(acked_bytes))
  enlist(backlog, member, oldest)
end
-- Whoever settles the epoch tells of it. What nobody has told yet is part of the news.
local untold, before = ((number(meta.epoch) > settled and meta.news) or ''):match('^(%a*) ?(%d*)$')
local is_lost = answer[1] == 'replaced' and not (expects_empty and answer[2] == '0')
local news = ''
if is_lost or untold == 'lost' then
  local discarded = is_lost and number(answer[2]) or 0
  news = 'lost ' .. text_of(discarded + (untold == 'lost' and number(before) or 0))
elseif answer[1] == 'kept' and (untold == 'recovered' or not expects_kept) then
  news = 'recovered ' .. answer[2]
end
redis.call('HSET', meta_key, 'epoch', text_of(epoch), 'news', news)
redis.call('SET', generation_key, text_of(epoch))
return answer
