-- Dispatches up to ARGV[2] requests that are due at ARGV[1]; each tenant is due again ARGV[3] later. The request leaves its
-- queue and joins those under way with its instant: that is the intent, in the append-only file when the answer leaves. The
-- answer is what was due when, and what the one who dials needs to know; without it if ARGV[4] is "bare".
local tenants = redis.call('ZRANGEBYSCORE', 'due', '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local dues, orders, again, under_way = {}, {}, {}, {}
for n = 1, #tenants, 2 do
    local tenant, due = tenants[n], tenants[n + 1]
    local id = redis.call('LPOP', 'q:' .. tenant)
    if id then
        if ARGV[4] ~= 'bare' then
            local request = redis.call('HMGET', 'r:' .. id, 'to', 'from', 'url')
            orders[#orders + 1] = id .. ' ' .. table.concat(request, ' ')
            under_way[#under_way + 1] = due
            under_way[#under_way + 1] = id
        end
        again[#again + 1] = string.format('%.0f', due + ARGV[3])
        again[#again + 1] = tenant
        dues[#dues + 1] = due
    end
end
if #again > 0 then
    redis.call('ZADD', 'due', unpack(again))
end
if #under_way > 0 then
    redis.call('ZADD', 'under_way', unpack(under_way))
end
return { table.concat(dues, ' '), table.concat(orders, '\n') }
