-- A session goes from one node to another: the new lease takes the old one's place, whatever the limit is by now.
-- KEYS  held facts fence cluster node, the mail of the old lease's owner
-- ARGV  lease owner generation facts user old-lease channel
-- Gives {granted, used, epoch} | {taken, epoch} | {fenced} | {absent}: the old lease is not held, acquire instead

local held, facts, fence = KEYS[1], KEYS[2], KEYS[3]
local lease, old = ARGV[1], ARGV[6]
if is_fenced(KEYS[4], KEYS[5], ARGV[3]) then
  return {'fenced'}
end
local grave = redis.call('ZSCORE', fence, lease)
if grave then
  return {'taken', tonumber(grave)}
end
local already = redis.call('ZSCORE', held, lease)
if already then
  return {'granted', redis.call('ZCARD', held), tonumber(already)}
end
if not redis.call('ZSCORE', held, old) then
  return {'absent'}
end
local now = clock()
local epoch = next_epoch(fence, now)
finish(held, facts, fence, old, epoch)
post(KEYS[6], ARGV[7], ARGV[5], old, epoch)
trim(fence, now)
hold(held, facts, lease, ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4], now)
return {'granted', redis.call('ZCARD', held), now}
