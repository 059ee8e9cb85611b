-- Appends all events, or none.
-- KEYS: user, thread, stream, runs, onces, index, sequences
-- ARGV: writer, sequence, fresh epoch, thread's name, once, start of the run that the writer knows, head that it knows,
--       events at most, bytes at most, writer that is known to be dead, retention in ms, 'end' for a small end,
--       then kind, run and JSON of each event
-- Answers {'ok', first offset, 'fresh', 'others' where another writer wrote last, or '', what the writer missed}, or {'done', first}, {'known'}, {'late'},
-- {'gone', start of the writer's own run that is in flight instead, or ''},
-- {'cut'} where events that were acknowledged are not there any more, {'busy', owner}, {'full', 'events' or 'bytes', of the run in flight or not}
local user, thread, stream, runs, onces, index, sequences = unpack(KEYS)
local writer, sequence, once = ARGV[1], tonumber(ARGV[2]), ARGV[5]
local FIRST = 13

-- A command that was sent twice, or that comes after its writer gave it up (R16).
local last = redis.call('HGET', sequences, writer)
if last then
  local before, first = string.match(last, '^(%d+):(%d+)$')
  if tonumber(before) == sequence and first ~= '0' then return {'done', tonumber(first)} end
  if tonumber(before) >= sequence then return {'late'} end
end
if once ~= '' and redis.call('ZSCORE', onces, once) then return {'known'} end

local known = redis.call('HMGET', thread, 'head', 'start', 'owner', 'events', 'bytes', 'last')
local head, start, owner = tonumber(known[1] or 0), known[2], known[3]
local events, bytes = tonumber(known[4] or 0), tonumber(known[5] or 0)
if start == '' then start = false end
local starts = ARGV[FIRST] == 'start'
if not starts and ARGV[6] ~= '' and start ~= ARGV[6] then return {'gone', owner == writer and start or ''} end
-- A failover or a restart lost events that were acknowledged: what comes now would stand behind a hole (R19).
if not starts and ARGV[7] ~= '' and head < tonumber(ARGV[7]) then return {'cut'} end
if starts and start and owner ~= writer and owner ~= ARGV[10] then return {'busy', owner} end

local count, size = (#ARGV - FIRST + 1) / 3, 0
for i = FIRST, #ARGV, 3 do size = size + #ARGV[i + 2] end
local small_end = ARGV[12] == 'end' and start
if not small_end then
  local place = start and 'flight' or 'rest'
  if events + count > tonumber(ARGV[8]) * (start and 1 or 4) then return {'full', 'events', place} end
  if bytes + size > tonumber(ARGV[9]) * (start and 1 or 4) then return {'full', 'bytes', place} end
end

epoch_of(user, ARGV[3])
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local fresh = not known[1]
if fresh then
  redis.call('HSET', thread, 'created', text(now), 'floor', '0', 'folded', '0', 'born', born(user, index, ARGV[4]))
end
local first, boundary = head + 1, once ~= '' or fresh
local finished, run = false, false
for i = FIRST, #ARGV, 3 do
  local kind = ARGV[i]
  head = head + 1
  redis.call('XADD', stream, text(head) .. '-0', 'e', ARGV[i + 2])
  if kind ~= 'other' and start then
    finished, start = start, false
  end
  if kind == 'start' then
    events, bytes = 0, 0
    if ARGV[i + 1] ~= '' then
      start, run = text(head), ARGV[i + 1]
      if once == '' then redis.call('ZADD', runs, head, run) end
    end
  end
  events, bytes = events + 1, bytes + #ARGV[i + 2]
  boundary = boundary or kind ~= 'other' or not start
end
redis.call('HSET', thread, 'head', text(head), 'events', text(events), 'bytes', text(bytes), 'start', start or '', 'last', writer)
if run then redis.call('HSET', thread, 'run', run, 'owner', writer) end
if finished then redis.call('HSET', thread, 'finished', finished) end
if once ~= '' then redis.call('ZADD', onces, head, once) end
if not last and redis.call('HLEN', sequences) >= 64 then redis.call('DEL', sequences) end
redis.call('HSET', sequences, writer, text(sequence) .. ':' .. text(first))
if boundary then
  local rank = redis.call('HINCRBY', user, 'rank', 1)
  redis.call('HSET', thread, 'rank', rank, 'written', text(now))
  redis.call('ZADD', index, rank, ARGV[4])
  redis.call('ZREMRANGEBYRANK', runs, 0, -1025)
  redis.call('ZREMRANGEBYRANK', onces, 0, -1025)
  if ARGV[11] ~= '' then
    for _, key in ipairs({thread, stream, runs, onces, sequences}) do redis.call('PEXPIRE', key, ARGV[11]) end
  end
end
redis.call('PUBLISH', thread, writer)
-- What an append that was given up left behind: followers hear of it before they hear what comes after it.
local missed = {}
if ARGV[7] ~= '' and tonumber(ARGV[7]) < first - 1 then
  missed = redis.call('XRANGE', stream, '(' .. ARGV[7] .. '-0', text(first - 1) .. '-0')
end
local before = fresh and 'fresh' or known[6] ~= writer and 'others' or ''
return {'ok', first, before, missed}
