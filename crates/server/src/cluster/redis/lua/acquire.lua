-- Takes a place among a user's leases, or the places of victims, in one step. Where there are none, no living one goes.
-- KEYS  held facts fence cluster node, then the mail of each victim's owner
-- ARGV  lease owner generation facts limit user, the count of what is gone, that (owners and leases), then for each
--       victim its lease, whom the caller takes for its owner, and that one's channel
-- Gives {granted, used, epoch, how many of the victims went; nothing where the lease was held already} | {denied, {lease, owner, facts, since}...} | {taken, epoch} | {fenced}

local held, facts, fence = KEYS[1], KEYS[2], KEYS[3]
local lease, owner, generation, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])

if is_fenced(KEYS[4], KEYS[5], generation) then
  return {'fenced'}
end
local grave = redis.call('ZSCORE', fence, lease)
if grave then
  return {'taken', tonumber(grave)}
end

local now = clock()
local already = redis.call('ZSCORE', held, lease)
if already then
  return {'granted', redis.call('ZCARD', held), tonumber(already)}
end

local gone_count = tonumber(ARGV[7])
local first_victim = 8 + gone_count
local used, went = redis.call('ZCARD', held), 0

if used >= limit then
  local gone, named = {}, {}
  for i = 8, 7 + gone_count do
    gone[ARGV[i]] = true
  end
  for i = first_victim, #ARGV, 3 do
    named[ARGV[i]] = i
  end

  local living, dead, victims = {}, {}, {}
  local members = redis.call('ZRANGE', held, 0, -1, 'WITHSCORES')
  for i = 1, #members, 2 do
    local member = members[i]
    local its_owner, its_generation, its_facts = owner_of(redis.call('HGET', facts, member))
    if its_generation ~= generation then
      -- Nobody said again after the data set changed that he holds it. Without a tombstone: who comes later may.
      redis.call('ZREM', held, member)
      redis.call('HDEL', facts, member)
    elseif gone[its_owner] or gone[member] then
      dead[#dead + 1] = member
    else
      living[#living + 1] = {member, its_owner, its_facts, tonumber(members[i + 1])}
      -- A node that was buried came back under another name and told it again: its letter would lie in a box that nobody
      -- opens. The caller is denied, and learns whose it is now.
      if named[member] and ARGV[named[member] + 1] == its_owner then
        victims[#victims + 1] = named[member]
      end
    end
  end

  used = #living + #dead
  local needed = used - limit + 1
  -- A place for a place: a user who holds more than his limit, because nobody could be asked for a while or because it
  -- was lowered, is not shut out until the excess is gone; it does not grow. The places of the dead are in that excess: they
  -- give way to those who live, and not to a newcomer.
  local is_denied = #victims == 0 and #living >= limit
  needed = math.min(needed, #dead + #victims)
  -- Only as many as are needed, the dead first: a node that comes back keeps what nobody wanted.
  if needed > 0 then
    local epoch = next_epoch(fence, now)
    table.sort(victims)
    for i = 1, needed do
      local at = victims[i - #dead]
      finish(held, facts, fence, dead[i] or ARGV[at], epoch)
      if not dead[i] then
        went = went + 1
        post(KEYS[6 + (at - first_victim) / 3], ARGV[at + 2], ARGV[6], ARGV[at], epoch)
      end
      used = used - 1
    end
    trim(fence, now)
  end
  if is_denied then
    return {'denied', unpack(living)}
  end
end

hold(held, facts, lease, owner .. ' ' .. generation .. ' ' .. ARGV[4], now)
return {'granted', used + 1, now, went}
