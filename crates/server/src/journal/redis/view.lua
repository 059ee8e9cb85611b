-- One consistent view of a thread without its run in flight.
-- KEYS: user, thread, stream, messages, index
-- ARGV: fresh epoch, thread's name
-- Answers {epoch, fields of the thread, messages, finished events that are not folded yet}
local user, thread, stream, messages, index = unpack(KEYS)
local epoch = epoch_of(user, ARGV[1])
local fields = redis.call('HGETALL', thread)
if #fields == 0 then return {epoch .. born(user, index, ARGV[2]), {}, {}, {}} end
local place = redis.call('HMGET', thread, 'folded', 'head', 'start', 'born')
local cut = tonumber(place[2])
if place[3] and place[3] ~= '' then cut = tonumber(place[3]) - 1 end
local unfolded = {}
if tonumber(place[1]) < cut then
  unfolded = redis.call('XRANGE', stream, '(' .. place[1] .. '-0', text(cut) .. '-0')
end
return {epoch .. place[4], fields, redis.call('LRANGE', messages, 0, -1), unfolded}
