-- Takes the name of a thread whose time is over off the list. Who makes it anew begins another log (see born).
-- KEYS: user, thread, index    ARGV: thread's name
local rank = redis.call('ZSCORE', KEYS[3], ARGV[1])
if rank and redis.call('EXISTS', KEYS[2]) == 0 then
  local buried = redis.call('HGET', KEYS[1], 'buried')
  if not buried or tonumber(buried) < tonumber(rank) then redis.call('HSET', KEYS[1], 'buried', rank) end
  redis.call('ZREM', KEYS[3], ARGV[1])
end
return 1
