-- After an append whose outcome nobody knows: from here on it can no more be applied.
-- KEYS: thread, sequences    ARGV: writer, sequence
-- Answers the offset of the RUN_STARTED of the writer's run if one is in flight, else 0
local last = redis.call('HGET', KEYS[2], ARGV[1])
local before = last and tonumber(string.match(last, '^(%d+):'))
if not before or before < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ':0')
  if redis.call('PTTL', KEYS[1]) == -2 then redis.call('PEXPIRE', KEYS[2], 3600000) end
  return 0
end
local flight = redis.call('HMGET', KEYS[1], 'start', 'owner')
if before > tonumber(ARGV[2]) or flight[2] ~= ARGV[1] or not flight[1] or flight[1] == '' then return 0 end
return tonumber(flight[1])
