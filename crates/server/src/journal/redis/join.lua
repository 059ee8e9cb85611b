-- Puts joined events in place of the older ones of the run in flight. A stream takes nothing in its middle, so it is
-- written anew; nothing where it is not as it was.
-- KEYS: thread, stream
-- ARGV: start of the run, first and last offset and count of what goes, bytes that this saves, then offset and JSON of
--       each event that comes
-- Answers 1 when it was done
local thread, stream = unpack(KEYS)
if redis.call('HGET', thread, 'start') ~= ARGV[1] then return 0 end
local from, to = tonumber(ARGV[2]), tonumber(ARGV[3])
if #redis.call('XRANGE', stream, ARGV[2] .. '-0', ARGV[3] .. '-0') ~= tonumber(ARGV[4]) then return 0 end
local before = redis.call('XRANGE', stream, '-', '(' .. ARGV[2] .. '-0')
local behind = redis.call('XRANGE', stream, '(' .. ARGV[3] .. '-0', '+')
local time = redis.call('PTTL', stream)
redis.call('DEL', stream)
for _, entry in ipairs(before) do redis.call('XADD', stream, entry[1], unpack(entry[2])) end
for i = 6, #ARGV, 2 do redis.call('XADD', stream, ARGV[i] .. '-0', 'e', ARGV[i + 1]) end
for _, entry in ipairs(behind) do redis.call('XADD', stream, entry[1], unpack(entry[2])) end
if time > 0 then redis.call('PEXPIRE', stream, time) end
redis.call('HINCRBY', thread, 'events', (#ARGV - 5) / 2 - tonumber(ARGV[4]))
redis.call('HINCRBY', thread, 'bytes', -tonumber(ARGV[5]))
return 1
