-- Makes up to ARGV[2] decisions at instant ARGV[1]. A tenant waits in a sorted set until its next request conforms (GCRA),
-- then stands in the ring, where the first gives the first of its queue (round robin). The request is queued again.
local now, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local ready = redis.call('ZRANGEBYSCORE', 'waiting', '-inf', now, 'LIMIT', 0, most)
if #ready > 0 then
    redis.call('ZREM', 'waiting', unpack(ready))
    redis.call('RPUSH', 'ring', unpack(ready))
end
local turns = redis.call('LPOP', 'ring', most)
if not turns then
    return 0
end
local made = 0
for _, tenant in ipairs(turns) do
    local id = redis.call('LPOP', 'q:' .. tenant)
    if id then
        redis.call('ZADD', 'waiting', now + redis.call('HGET', 'spacing', tenant), tenant)
        redis.call('RPUSH', 'q:' .. tenant, id)
        made = made + 1
    end
end
return made
