-- Cleans the entries of writes that the store has committed, moves the position, trims (D.7).
--
-- KEYS: meta of the partition, journal, backlog, claim, then the entries.
-- ARGV: epoch of the batch, version that it began behind, last version that is committed, retention
--   in ms, most bytes to retain, token of the claim, its hold in ms, member of the backlog, then for
--   each entry: version, time to live in ms ('0': it is removed if it is a tombstone; '': it is
--   dropped).
-- Returns: how many records are left to drain (text); or, with nothing changed, 'elsewhere'.
-- Atomic because: an entry must not become dirty again between the look at its version and its
-- cleaning, and the claim must not be given back behind a record that was just appended.

local meta_key, journal, backlog, claim = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, from = tonumber(next_argument()), tonumber(next_argument())
local last_id = tonumber(next_argument())
local retention, retained_bytes = tonumber(next_argument()), tonumber(next_argument())
local token, hold, member = next_argument(), next_argument(), next_argument()
local meta = meta_of(meta_key)
-- In another epoch versions may be those of other writes. A server that came back in an older state
-- does not know that what lies before is committed: the entries of those records are dirty again, and
-- nobody would clean them behind this position.
if not meta.home or number(meta.epoch) ~= epoch or number(meta.acked) < from then
  return 'elsewhere'
end

local function settle(key, version, ttl)
  local head, kind = head_of(key)
  local state = head and head:match('^1([dtcn])')
  local found = state and number(tonumber(head:sub(3, 18), 16))
  if not state or found > version then
    return
  end
  local letter = state == 'd' and 'c' or state == 't' and 'n'
  -- An older copy was made where the entry had been lost: from the row before this write.
  if found < version or letter and (ttl == '' or ttl == '0') then
    redis.call('UNLINK', key)
    return
  end
  if not letter then
    return
  end
  if kind == 'string' then
    -- Behind the head and the envelope's format.
    redis.call('SETRANGE', key, 9, letter)
  elseif kind == DOCUMENT then
    redis.call('JSON.SET', key, '$._cr', '"1' .. letter .. head:sub(3) .. '"')
  else
    redis.call('HSET', key, '_cr', '1' .. letter .. head:sub(3))
  end
  redis.call('PEXPIRE', key, ttl)
end

-- Where memory is used up, a script may write if its first command is one that cannot need more.
local trimmed = number(meta.trimmed)
trim(journal, trimmed)
for i = 5, #KEYS do
  settle(KEYS[i], tonumber(next_argument()), next_argument())
end

local acked = math.max(number(meta.acked), last_id)
local acked_count, acked_bytes, oldest = standing_at(journal, acked, meta)
-- What is left is what is there: after a power loss the counts may be those of other records.
local left = oldest and math.max(1, number(meta.count) - acked_count) or 0
local changes = {
  'acked', text_of(acked), 'acked_count', text_of(acked_count), 'acked_bytes', text_of(acked_bytes),
  -- Only a settled epoch is drained, so they were told.
  'news', '',
}
local function change(name, value)
  changes[#changes + 1] = name
  changes[#changes + 1] = text_of(value)
end
if acked > trimmed then
  local now = now_ms()
  -- Not above what the store has now: it may have been restored, and be reading again.
  local is_due = meta.mark_id and last_id >= number(meta.mark_id)
    and (now - meta.mark_at >= retention or acked_bytes - meta.mark_bytes > retained_bytes / 2
      -- A write that may be tried again must be found.
      and now - meta.mark_at >= TRIED_AGAIN_MS)
  if is_due then
    trim(journal, number(meta.mark_id))
    change('trimmed', number(meta.mark_id))
  end
  if is_due or not meta.mark_id then
    change('mark_id', acked)
    change('mark_at', now)
    change('mark_bytes', acked_bytes)
  end
end
redis.call('HSET', meta_key, unpack(changes))
enlist(backlog, member, oldest)
if redis.call('GET', claim) == token then
  if left > 0 then
    redis.call('PEXPIRE', claim, hold)
  else
    redis.call('UNLINK', claim)
  end
end
return text_of(left)
