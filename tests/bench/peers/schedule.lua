-- Tenants ARGV[1] to ARGV[2] - 1 of ARGV[3] are due for the first time within the second that begins at ARGV[4].
for tenant = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
    local due = tonumber(ARGV[4]) + math.floor(tenant * 1000000 / tonumber(ARGV[3]))
    redis.call('ZADD', 'due', string.format('%.0f', due), tenant)
end
