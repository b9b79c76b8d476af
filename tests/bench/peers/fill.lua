-- Queues requests in bulk as enqueue.lua does: ARGV = first id, count, tenants, first instant, to, from, url, and "due" for
-- one sorted set of all due times in place of a list for each tenant.
local first, tenants, at, one = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[8] == 'due'
for id = first, first + tonumber(ARGV[2]) - 1 do
    local tenant, due = id % tenants, string.format('%.0f', at + id)
    redis.call('HSET', 'r:' .. id, 'tenant', tenant, 'to', ARGV[5], 'from', ARGV[6], 'url', ARGV[7], 'at', due, 'tries', 0)
    if one then
        redis.call('ZADD', 'due', due, id)
    else
        redis.call('RPUSH', 'q:' .. tenant, id)
    end
end
