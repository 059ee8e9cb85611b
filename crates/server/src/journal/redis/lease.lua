-- Says that a node lives.
-- KEYS: lease    ARGV: for how long, in ms
return redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
