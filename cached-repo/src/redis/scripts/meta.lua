-- Tells what is known of a partition.
--
-- KEYS: meta of the partition.
-- ARGV: none.
-- Returns: what `shown_meta` of the prelude does.
-- Atomic because: whether the journal belongs to the server that answers is asked of that server.

return shown_meta(KEYS[1], now_ms())
