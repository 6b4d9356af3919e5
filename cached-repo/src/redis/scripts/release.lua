-- Gives the right to drain a partition back.
--
-- KEYS: claim.
-- ARGV: token.
-- Returns: 1 if it was the token's, else 0.
-- Atomic because: another worker may take it between the look and the removal.

if redis.call('GET', KEYS[1]) ~= next_argument() then
  return 0
end
return redis.call('UNLINK', KEYS[1])
