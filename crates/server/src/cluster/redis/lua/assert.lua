-- Says that a session is held: nobody looks at the limit, for it lives already. Only what was taken stays taken.
-- KEYS  held facts fence cluster node
-- ARGV  lease owner generation facts
-- Gives {granted, used, epoch} | {taken, epoch} | {fenced}

local held, facts, fence = KEYS[1], KEYS[2], KEYS[3]
if is_fenced(KEYS[4], KEYS[5], ARGV[3]) then
  return {'fenced'}
end
local grave = redis.call('ZSCORE', fence, ARGV[1])
if grave then
  return {'taken', tonumber(grave)}
end
local now = clock()
hold(held, facts, ARGV[1], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4], now)
return {'granted', redis.call('ZCARD', held), now}
