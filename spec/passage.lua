--- The ways that a value can go, and the places in which it can stand, for the specs of values that are sent.

local assert = require "luassert"
local neap = require "neap"

local passage = {}

-- The ways that a value can go; each returns what arrives.
local ways = {}

function ways.channel(value)
  local ch = neap.channel(1)
  assert.is_true(ch:send(value))
  return (ch:recv())
end

function ways.queue(value)
  local queue = neap.queue()
  queue:put(value)
  return (queue:get())
end

function ways.thread(value) return (neap.thread(function(v) return v end, value):join()) end

function ways.thread_and_channel(value)
  local ch, back = neap.channel(1), neap.channel(1)
  local thread = neap.thread(function() back:send(ch:recv()) end)
  ch:send(value)
  local arrived = back:recv()
  thread:join()
  return arrived
end

function ways.error(value)
  local thread = neap.thread({ quiet = true }, function(v) error(v, 0) end, value)
  local joined, err = pcall(thread.join, thread)
  assert.is_false(joined)
  return err
end

--- There and back, by a process that stays for all of them.
local there, back
function ways.process(value)
  if not there then
    there, back = neap.channel(), neap.channel()
    neap.process({ daemon = true }, function(from, to)
      for v in from:iter() do to:send(v) end
    end, there, back)
  end
  there:send(value)
  return (back:recv())
end

function ways.dict(value)
  local dict = neap.dict()
  dict.kept = value
  return dict.kept
end

passage.ways = ways

-- The places in which it can stand; each sends something that has it there, and takes it out again.
local places = {}

function places.value(value, way) return way(value) end
function places.field(value, way) return way({ here = value }).here end
function places.element(value, way) return way({ 0, value, 0 })[2] end
function places.nested(value, way) return way({ a = { [1.5] = { { value } } } }).a[1.5][1][1] end
function places.key(value, way) return (next(way({ [value] = true }))) end
function places.upvalue(value, way) return way(function() return value end)() end
function places.upvalue_of_upvalue(value, way)
  local function inner() return value end
  return way({ function() return inner() end })[1]()
end

--- A travelled value is asked in the state where it arrives: `check(arrived, sent)`.
function passage.each_place(check, values, excluded)
  for place, send in pairs(places) do
    for way_name, way in pairs(ways) do
      if place ~= excluded then
        for _, value in ipairs(values) do
          local arrived = send(value, way)
          assert(check(arrived, value), ("%s as %s through a %s became %s"):format(value, place, way_name, arrived))
        end
      end
    end
  end
end

function passage.is_same(arrived, sent) return arrived == sent and math.type(arrived) == math.type(sent) end

function passage.is_same_float(arrived, sent)
  return math.type(arrived) == "float" and string.pack("d", arrived) == string.pack("d", sent)
end

return passage
