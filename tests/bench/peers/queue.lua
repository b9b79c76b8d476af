-- Fills plain queues: tenants ARGV[1] to ARGV[2] - 1 get ARGV[3] ids each, a spacing of about ARGV[4] of their own, and a
-- first due time of their own.
local spacing = tonumber(ARGV[4])
for tenant = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
    for n = 1, tonumber(ARGV[3]) do
        redis.call('RPUSH', 'q:' .. tenant, tenant * 1000 + n)
    end
    local own = spacing - spacing / 20 + tenant * 7919 % math.floor(spacing / 10)
    redis.call('HSET', 'spacing', tenant, string.format('%.0f', own))
    redis.call('ZADD', 'waiting', tenant * 7919 % spacing, tenant)
end
