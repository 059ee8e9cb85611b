-- A node shows that it lives, buries who does not, and reads who is there and what was posted to it.
-- KEYS  cluster nodes node mail buried
-- ARGV  incarnation intent(join | stay | leave) lease-ms entry generation-if-there-is-none schema name mail-after
--       prefix-of-node-keys generation-in-which-mail-was-read
-- Gives {here, generation, age-ms, renewed, {incarnation, entry, left-of-its-lease-ms...}, {{mail-id, {field, value...}}...}}
--       | {stranger}: this incarnation is not in the table, it was buried or the data set was lost
--       | {foreign, schema, name}

local cluster, nodes, node, mail, buried = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local me, intent, lease_ms, entry = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local found = redis.call('HMGET', cluster, 'schema', 'name', 'generation', 'run', 'since')
if found[1] and (found[1] ~= ARGV[6] or found[2] ~= ARGV[7]) then
  return {'foreign', found[1], found[2] or ''}
end
-- A server that was started again, or another one after a failover, may have lost the last writes: its data set is
-- as little the old one as an empty one is. The process alone does not tell: one that was a replica meanwhile has what
-- the other one gave it.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') .. '-'
  .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if not found[3] or found[4] ~= run then
  redis.call('HSET', cluster, 'schema', ARGV[6], 'name', ARGV[7], 'generation', ARGV[5], 'run', run, 'since', now)
  found[3], found[5] = ARGV[5], now
end

if intent == 'leave' then
  redis.call('HDEL', nodes, me)
  redis.call('DEL', node, mail)
  return {'stranger'}
end

local renewed = 0
local known = redis.call('HGET', nodes, me)
if not known and intent ~= 'join' then
  return {'stranger'}
end
-- Nobody buried it: it goes on, also where its time ran out.
if not known or known ~= entry or redis.call('PTTL', node) <= lease_ms * 4 / 5 then
  redis.call('SET', node, 1, 'PX', lease_ms)
  redis.call('HSET', nodes, me, entry)
  renewed = 1
end

-- For good: no beat brings an incarnation back once it is out of the table.
local table_of_nodes = {}
local all = redis.call('HGETALL', nodes)
for i = 1, #all, 2 do
  -- Below zero: there is no such key.
  local left = redis.call('PTTL', ARGV[9] .. all[i])
  if left >= 0 then
    table_of_nodes[#table_of_nodes + 1] = all[i]
    table_of_nodes[#table_of_nodes + 1] = all[i + 1]
    table_of_nodes[#table_of_nodes + 1] = left
  else
    redis.call('HDEL', nodes, all[i])
    redis.call('LPUSH', buried, all[i] .. ' ' .. now .. ' ' .. all[i + 1])
    redis.call('LTRIM', buried, 0, 63)
  end
end

-- Letters have the time of their server as their number: what was read last in another data set, by another clock, says
-- nothing about those that are here.
local after = ARGV[10] == found[3] and ARGV[8] or '0-0'
local letters = {}
if redis.call('EXISTS', mail) == 1 then
  letters = redis.call('XRANGE', mail, '(' .. after, '+', 'COUNT', 256)
  if #letters == 0 then
    -- The stream stays, and with it its last id: a clock that was put back makes no smaller ones.
    redis.call('XTRIM', mail, 'MAXLEN', 0)
  end
end
-- A clock that was put back makes no age below nothing.
return {'here', found[3], math.max(now - tonumber(found[5]), 0), renewed, table_of_nodes, letters}
