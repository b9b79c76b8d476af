-- Queues one request: ARGV = tenant, to, from, url, first instant. The request is a hash of its own, so that it can be read
-- and cancelled by its id; its tenant's queue is a list of ids; the tenant joins the ring with its first request.
local id = redis.call('INCR', 'id')
redis.call('HSET', 'r:' .. id, 'tenant', ARGV[1], 'to', ARGV[2], 'from', ARGV[3], 'url', ARGV[4], 'at', ARGV[5], 'tries', 0)
if redis.call('RPUSH', 'q:' .. ARGV[1], id) == 1 then
    redis.call('RPUSH', 'ring', ARGV[1])
end
return id
