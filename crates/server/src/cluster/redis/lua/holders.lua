-- Who holds a user's places; changes nothing.
-- KEYS  held facts cluster
-- ARGV  generation
-- Gives {holders, {lease, owner, facts, since}...} | {fenced}

if redis.call('HGET', KEYS[3], 'generation') ~= ARGV[1] then
  return {'fenced'}
end
local found = {'holders'}
local members = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #members, 2 do
  local owner, generation, its_facts = owner_of(redis.call('HGET', KEYS[2], members[i]))
  if generation == ARGV[1] then
    found[#found + 1] = {members[i], owner, its_facts, tonumber(members[i + 1])}
  end
end
return found
