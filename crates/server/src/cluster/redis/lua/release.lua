-- Gives a place back; as often as it is asked.
-- KEYS  held facts fence
-- ARGV  lease

local now = clock()
if not redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  finish(KEYS[1], KEYS[2], KEYS[3], ARGV[1], next_epoch(KEYS[3], now))
  trim(KEYS[3], now)
end
return {'released'}
