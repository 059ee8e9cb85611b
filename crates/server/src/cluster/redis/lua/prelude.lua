-- What every script about a user's leases begins with.
-- held: ZSET lease -> when it was granted or refreshed; facts: HASH lease -> "owner generation facts"; fence: ZSET of
-- the leases that are over -> the epoch at which. All times are this server's own, in milliseconds.

local HELD_FOR = 6 * 3600 * 1000
local FENCED_FOR = 3600 * 1000
local MAX_FENCED = 1024

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Above every epoch before it, also above those of a data set that was lost: it starts from the clock.
local function next_epoch(fence, now)
  local last = redis.call('ZREVRANGE', fence, 0, 0, 'WITHSCORES')[2]
  return math.max(now, tonumber(last or 0) + 1)
end

-- The lease is over: a late command about it finds its tombstone and does not bring it back.
local function finish(held, facts, fence, lease, epoch)
  redis.call('ZREM', held, lease)
  redis.call('HDEL', facts, lease)
  redis.call('ZADD', fence, epoch, lease)
end

local function trim(fence, now)
  redis.call('ZREMRANGEBYSCORE', fence, '-inf', now - FENCED_FOR)
  redis.call('ZREMRANGEBYRANK', fence, 0, -MAX_FENCED - 1)
  redis.call('PEXPIRE', fence, FENCED_FOR)
end

local function hold(held, facts, lease, value, now)
  redis.call('ZADD', held, now, lease)
  redis.call('HSET', facts, lease, value)
  redis.call('PEXPIRE', held, HELD_FOR)
  redis.call('PEXPIRE', facts, HELD_FOR)
end

-- The node that held it reads its mail at the next beat; who listens hears that there is some.
local function post(mail, channel, user, lease, epoch)
  redis.call('XADD', mail, 'MAXLEN', '~', 10000, '*', 'user', user, 'lease', lease, 'epoch', epoch)
  redis.call('PEXPIRE', mail, FENCED_FOR)
  redis.call('PUBLISH', channel, '{"kind":"mail"}')
end

-- Whether the caller speaks of a data set that is no longer this one, or was declared dead in it.
local function is_fenced(cluster, node, generation)
  return redis.call('HGET', cluster, 'generation') ~= generation or redis.call('EXISTS', node) == 0
end

local function owner_of(value)
  return string.match(value or '', '^(%S+) (%S+) (.*)$')
end

