"""What has to happen in Redis at one stroke, as Lua: so that two workers that do it at the same instant do it in turn.

Fencing is none of it: see `redis_keys`. The keys of claims and leases are found inside of a script, which a cluster
would not have: it is for one server, or one with replicas.
"""

from __future__ import annotations

from typing import Final

from streamkit.relay.replay.redis_keys import BEGIN_ID, END_ID, LAST_ID, PREFIX, WORKERS

__all__ = ["CREATE", "END", "FIND", "FORGET", "READERS", "REFRESH", "RENEW"]

_STREAM = f"""
local function key(id, part) return '{PREFIX}{{' .. id .. '}}:' .. part end
local function claim_of(id)
    local claim = redis.call('HGET', key(id, 'meta'), 'claim')
    if not claim or claim == '' then return nil end
    local held = redis.call('GET', '{PREFIX}claim:' .. claim)
    if held and string.sub(held, 1, #id) == id then return '{PREFIX}claim:' .. claim end
    return nil
end
local function finish(id, told, keep_ms)
    local log = key(id, 'log')
    local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
    if not newest then return false end
    if newest[1] == '{END_ID}' then return newest[2][2] end
    redis.call('XADD', log, '{END_ID}', 'e', told)
    redis.call('PEXPIRE', log, keep_ms)
    redis.call('PEXPIRE', key(id, 'readers'), keep_ms)
    redis.call('PEXPIRE', key(id, 'meta'), 2 * keep_ms)
    local claim = claim_of(id)
    if claim then
        if newest[1] == '{BEGIN_ID}' and cjson.decode(told).code then
            redis.call('DEL', claim)
        else
            redis.call('PEXPIRE', claim, keep_ms)
        end
    end
    return told
end
"""

END: Final = f"{_STREAM} return finish(ARGV[1], ARGV[2], tonumber(ARGV[3]))"
"""id, end, keep_ms → the end that counts, which is the first one; nil: there is no such log."""

CREATE: Final = f"""
local id, owner, worker, claim, body, ttl_ms = unpack(ARGV)
{_STREAM}
if claim ~= '' then
    local held = redis.call('GET', '{PREFIX}claim:' .. claim)
    if held then
        local other = string.sub(held, 1, 32)
        if redis.call('EXISTS', key(other, 'log')) == 1 then
            if string.sub(held, 34) ~= body then return {{'reused'}} end
            return {{'same', other}}
        end
    end
    redis.call('SET', '{PREFIX}claim:' .. claim, id .. ' ' .. body, 'PX', ttl_ms)
end
redis.call('XADD', key(id, 'log'), '{BEGIN_ID}', 'h', '1:0:0')
redis.call('PEXPIRE', key(id, 'log'), ttl_ms)
redis.call('HSET', key(id, 'meta'), 'owner', owner, 'worker', worker, 'claim', claim)
redis.call('PEXPIRE', key(id, 'meta'), ttl_ms)
return {{'fresh'}}
"""
"""id, owner, worker, claim or '', body, ttl_ms → fresh; reused; or same, and the id of the one that has the claim."""

FIND: Final = f"""
local id, lost, keep_ms, own = unpack(ARGV)
{_STREAM}
local meta = redis.call('HMGET', key(id, 'meta'), 'owner', 'worker')
if not meta[1] then return false end
local log = key(id, 'log')
local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
if not oldest then return {{meta[1]}} end
local newest = redis.call('XREVRANGE', log, '{LAST_ID}', '-', 'COUNT', 1)[1]
local last = redis.call('XRANGE', log, '{END_ID}', '{END_ID}')[1]
local told = last and last[2][2]
if not told and meta[2] ~= own and redis.call('EXISTS', '{PREFIX}lease:' .. meta[2]) == 0 then
    told = finish(id, lost, tonumber(keep_ms))
end
local readers, held = 0, redis.call('HGETALL', key(id, 'readers'))
for i = 1, #held, 2 do
    if held[i] ~= own and redis.call('EXISTS', '{PREFIX}lease:' .. held[i]) == 1 then
        readers = readers + tonumber(string.match(held[i + 1], '^%d+'))
    end
end
return {{meta[1], meta[2], oldest[2][2], newest[1], newest[2][2], told or '', redis.call('PTTL', log), readers}}
"""
"""id, the end if its producer is lost, keep_ms, own worker → owner, worker, head of the first entry, id and head of the
last, end or '', ms to live, readers elsewhere; the owner alone: its log is no longer kept; nil: there is no such one.
"""

FORGET: Final = f"""
{_STREAM}
local id = ARGV[1]
local claim = claim_of(id)
if claim then redis.call('DEL', claim) end
redis.call('DEL', key(id, 'log'), key(id, 'readers'))
redis.call('PEXPIRE', key(id, 'meta'), ARGV[2])
return redis.call('HGET', key(id, 'meta'), 'worker')
"""
"""id, keep_ms → the worker that produced it."""

REFRESH: Final = f"""
{_STREAM}
for i = 2, #ARGV do
    local id = ARGV[i]
    for _, part in ipairs({{'log', 'meta', 'readers'}}) do redis.call('PEXPIRE', key(id, part), ARGV[1]) end
    local claim = claim_of(id)
    if claim then redis.call('PEXPIRE', claim, ARGV[1]) end
end
"""
"""ttl_ms, ids of streams that run."""

READERS: Final = f"""
{_STREAM}
local found = {{}}
for i = 2, #ARGV do
    local readers, lowest, all = 0, '', redis.call('HGETALL', key(ARGV[i], 'readers'))
    for j = 1, #all, 2 do
        if all[j] ~= ARGV[1] then
            if redis.call('EXISTS', '{PREFIX}lease:' .. all[j]) == 0 then
                redis.call('HDEL', key(ARGV[i], 'readers'), all[j])
            else
                local many, taken = string.match(all[j + 1], '^(%d+):(%d+)$')
                if tonumber(many) > 0 then
                    readers = readers + tonumber(many)
                    if lowest == '' or tonumber(taken) < tonumber(lowest) then lowest = taken end
                end
            end
        end
    end
    found[#found + 1] = readers
    found[#found + 1] = lowest
end
return found
"""
"""Own worker, ids → for each, how many read it elsewhere, and up to which piece all of those have it ('': nobody)."""

RENEW: Final = f"""
local worker, used, lease_ms, ttl_ms = unpack(ARGV)
local held = redis.call('EXISTS', '{PREFIX}lease:' .. worker)
redis.call('SET', '{PREFIX}lease:' .. worker, used, 'PX', lease_ms)
redis.call('SADD', '{WORKERS}', worker)
redis.call('PEXPIRE', '{WORKERS}', ttl_ms)
redis.call('PEXPIRE', '{PREFIX}control:' .. worker, ttl_ms)
local elsewhere = 0
for _, other in ipairs(redis.call('SMEMBERS', '{WORKERS}')) do
    if other ~= worker then
        local told = redis.call('GET', '{PREFIX}lease:' .. other)
        if told then elsewhere = elsewhere + tonumber(told) else redis.call('SREM', '{WORKERS}', other) end
    end
end
return {{held, tostring(elsewhere)}}
"""
"""worker, bytes that its logs hold, lease_ms, ttl_ms → whether it still had its lease; what the others hold."""
