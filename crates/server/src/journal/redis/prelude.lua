-- The epoch of a user's logs. Where there is none, everything of the user was lost or never was: another one is made, so
-- that whoever has seen the former log is reset (R19).
local function epoch_of(user, fresh)
  local epoch = redis.call('HGET', user, 'epoch')
  if epoch then return epoch end
  redis.call('HSET', user, 'epoch', fresh)
  return fresh
end

-- What tells a thread from one of the same name that Redis let go of when its time was over: its rank back then.
local function born(user, index, name)
  return redis.call('ZSCORE', index, name) or redis.call('HGET', user, 'buried') or ''
end

-- Offsets are below 2^53; Lua would write the large ones as 1e+15.
local function text(number)
  return string.format('%.0f', number)
end
