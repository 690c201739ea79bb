-- A program for slice_spec.lua: computes by all ways of running Lua that there are, while it is interrupted.
-- Its argument: after how many interruptions it has seen enough. It prints "same" if no result was changed by them.

local neap = require "neap"

local enough = tonumber((...))
local current, last, interruptions = neap.current, nil, 0

--- Notes whether another task has run since the last call.
local function look()
  local task = current()
  if task ~= last then interruptions = interruptions + 1 end
  last = task
end

local function mix(hash, value) return ((hash ~ value) * 0x100000001b3) & math.maxinteger end

local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end

local function squares(n)
  return coroutine.wrap(function()
    for i = 1, n do coroutine.yield(i, i * i) end
  end)
end

local function permute(list, n)
  if n <= 1 then return coroutine.yield(list) end
  for i = 1, n do
    list[n], list[i] = list[i], list[n]
    permute(list, n - 1)
    list[n], list[i] = list[i], list[n]
  end
end

local function sum(...)
  local total = 0
  for i = 1, select("#", ...) do total = total + select(i, ...) end
  if select("#", ...) > 1 then return total, sum(select(2, ...)) end
  return total
end

local Number = {}
local function number(value) return setmetatable({ value = value }, Number) end
function Number.__index(_, key) return key * 2 end
function Number.__add(a, b) return number(rawget(a, "value") + b) end
function Number.__lt(a, b) return rawget(a, "value") < rawget(b, "value") end
function Number.__eq(a, b) return rawget(a, "value") == rawget(b, "value") end
function Number.__len(a) return rawget(a, "value") end
function Number.__call(a, ...) return rawget(a, "value") + select("#", ...) end
function Number.__concat(a, b) return rawget(a, "value") .. b end
function Number.__close(a) a.value = rawget(a, "value") + 1 end

local function work(seed)
  local hash = seed
  local function note(value) hash = mix(hash, value) end
  note(fib(10 + seed % 4))
  for i, square in squares(20) do note(i + square) end
  for list in coroutine.wrap(function() permute({ 1, 2, 3, 4 }, 4) end) do note(list[1] * 10 + list[2]) end
  look()
  local object = number(seed & 255)
  for i = 1, 20 do
    object = object + i
    note(object[i] + #object + object(i, nil, nil))
    if object < object + 1 and object == object + 0 then note(#(object .. "x")) end
  end
  for _ = 1, 3 do
    local _ <close> = object
  end
  note(#object)
  note(select(2, pcall(function()
    local _ <close> = object
    error({ code = seed })
  end)).code)
  note(select(2, xpcall(function() return nil + 1 end, function(message) return #message end)))
  for _, value in ipairs({ sum(1, 2, 3, 4, 5, 6, 7, 8) }) do note(value) end
  look()
  local list = {}
  for i = 1, 60 do list[i] = (i * 7919 + seed) % 101 end
  table.sort(list, function(a, b) return a < b end)
  for i = 1, #list do note(list[i]) end
  local text = ("the quick brown fox"):gsub("%w+", function(word) return word:upper():reverse() .. #word end)
  for word in text:gmatch("%u+") do note(#word + word:byte()) end
  local float = 0.5
  for x = 1.0, 3.0, 0.125 do float = float * x % 17 end
  note(math.floor(float * 1e6))
  for i = 10, 1, -3 do note(i << 3 | i // 2) end
  local counters = {}
  for i = 1, 10 do
    counters[i] = function(by)
      i = i + by
      return i
    end
  end
  for i = 1, 10 do note(counters[i](1) + counters[i](2)) end
  local failing = coroutine.create(function(a) error("x" .. coroutine.yield(a + 1)) end)
  note(select(2, coroutine.resume(failing, seed)))
  note(#select(2, coroutine.resume(failing, seed)))
  note(load("local a, b = ... return a * b + 1")(seed, 77))
  look()
  return hash
end

local expected, tasks = {}, {}
for seed = 1, 20 do expected[seed] = work(seed) end
interruptions = 0
for i = 1, 4 do
  tasks[i] = neap.spawn(function()
    local seed = i
    while interruptions < enough do
      assert(work(seed) == expected[seed], "a result was changed")
      seed = seed % #expected + 1
    end
  end)
end
for i = 1, 4 do tasks[i]:join() end
print("same")
