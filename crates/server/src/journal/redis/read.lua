-- The events after an offset; one that no kept event ends at is one to be reset from (R19).
-- KEYS: thread, stream    ARGV: after, limit
-- Answers {'ok', events} or {'trimmed', floor}
local place = redis.call('HMGET', KEYS[1], 'head', 'floor')
local after = tonumber(ARGV[1])
if not place[1] or after >= tonumber(place[1]) then return {'ok', {}} end
local floor = tonumber(place[2])
local at = text(after) .. '-0'
if after < floor or (after > floor and #redis.call('XRANGE', KEYS[2], at, at) == 0) then return {'trimmed', floor} end
return {'ok', redis.call('XRANGE', KEYS[2], '(' .. at, '+', 'COUNT', ARGV[2])}
