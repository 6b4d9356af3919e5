-- Turns a partition over to another side: who may write to it.
--
-- KEYS: meta of the partition.
-- ARGV: token, '1' if a certain token must have turned it to where it is, that token, the new side ('' is
--   that of all), the epoch of the store's position of copies ('' leaves what is noted), then the sides that
--   it may be on.
-- Returns: 'turned', the side before, and who turned it there; or, with nothing changed, 'is', the side,
--   and who turned it there.
-- Atomic because: another process may turn it between the look and the turn.

local token, is_certain, behind, to = next_argument(), next_argument(), next_argument(), next_argument()
local epoch = next_argument()
local known = redis.call('HMGET', KEYS[1], 'side', 'turned_by')
local side, turned_by = known[1] or '', known[2] or ''
local allowed = false
for i = 6, #ARGV do
  allowed = allowed or ARGV[i] == side
end
if not allowed or is_certain == '1' and turned_by ~= behind then
  return { 'is', side, turned_by }
end
-- An export makes room, so it must go on where memory is used up: first a command that needs none.
redis.call('HDEL', KEYS[1], 'turned_by')
redis.call('HSET', KEYS[1], 'side', to, 'turned_by', token)
if epoch ~= '' then
  redis.call('HSET', KEYS[1], 'copies_epoch', epoch)
end
return { 'turned', side, turned_by }
