-- Finished events become messages, and what nobody resumes from goes; nothing where somebody else was faster.
-- KEYS: thread, stream, messages
-- ARGV: folded before, folded after, floor, oldest messages that go, messages after them that stay, state, 'more' or '',
--       bytes of the messages, title, then the JSON of each message behind those that stay
-- Answers 1 when it was done
local thread, stream, messages = unpack(KEYS)
if redis.call('HGET', thread, 'folded') ~= ARGV[1] then return 0 end
local gone, stay = tonumber(ARGV[4]), tonumber(ARGV[5])
if stay == 0 then
  redis.call('DEL', messages)
else
  redis.call('LTRIM', messages, gone, gone + stay - 1)
end
for i = 10, #ARGV do redis.call('RPUSH', messages, ARGV[i]) end
redis.call('HSET', thread, 'folded', ARGV[2], 'floor', ARGV[3], 'state', ARGV[6], 'more', ARGV[7], 'size', ARGV[8],
  'title', ARGV[9], 'messages', redis.call('LLEN', messages))
redis.call('XTRIM', stream, 'MINID', text(tonumber(ARGV[3]) + 1) .. '-0')
local start = redis.call('HGET', thread, 'start')
if not start or start == '' then
  -- Nobody writes: what is left counts anew against the bound of a thread at rest.
  redis.call('HSET', thread, 'events', redis.call('XLEN', stream), 'bytes', '0')
end
local time = redis.call('PTTL', thread)
if time > 0 then redis.call('PEXPIRE', messages, time) end
return 1
