-- Functions that the scripts share; put in front of each of them.
--
-- KEYS: none of its own.
-- ARGV: none of its own.
-- Returns: nothing.
-- Atomic because: it is part of the script that it precedes.

-- Server time in milliseconds.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The letter of the entry's state ('-' without an envelope) and its type; nil without an entry.
local function state_of(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then
    return nil
  end
  local letter
  if kind == 'string' then
    letter = redis.call('GETRANGE', key, 0, 9):match('^{"_cr":"1(%a)')
  elseif kind == 'hash' then
    letter = (redis.call('HGET', key, '_cr') or ''):match('^1(%a)')
  end
  return letter or '-', kind
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

-- Reads arguments one by one.
local position = 0
local function next_argument()
  position = position + 1
  return ARGV[position]
end

-- The content of an entry: state letter ('' for none), stamp, time to live in ms (0 for ever),
-- 'text' or 'fields', and the counted values.
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

-- Writes an entry, whatever was under its key.
local function write_entry(key, content, version, generation)
  local envelope = string.format('1%s%016x%08x%s', content.state, version, generation, content.stamp)
  if content.shape == 'text' then
    local text = '{"_cr":"' .. envelope .. '"' .. content.values[1]
    if content.ttl > 0 then
      redis.call('SET', key, text, 'PX', content.ttl)
    else
      redis.call('SET', key, text)
    end
  else
    redis.call('UNLINK', key)
    redis.call('HSET', key, '_cr', envelope, unpack(content.values))
    if content.ttl > 0 then
      redis.call('PEXPIRE', key, content.ttl)
    end
  end
end
