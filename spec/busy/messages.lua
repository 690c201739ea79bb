--- Messages of a busy run. Each has a number, and what happens to it is noted in memory that outlives the processes.

local neap = require "neap"

local messages = {}

local LIMIT = 1 << 18 -- messages of one trade
local SENT, REFUSED, GOT = 1, 2, 16 -- what is noted of a message; of one that is got twice, GOT twice

local large = ("x"):rep(100000)

local function make_message(number, id, shared)
  if number % 64 == 0 then return { number, id, large } end
  if number % 16 == 5 then return { number, id, shared.marks } end
  return id << 32 | number
end

--- Its number, and who sent it.
local function read_message(message, shared)
  if type(message) ~= "table" then return message & 0xffffffff, message >> 32 end
  assert(#message[3] == (message[1] % 64 == 0 and #large or #shared.marks), "a message has changed on its way")
  return message[1], message[2]
end

local function give(shared, run, id)
  while not run.over:get() do
    local number = shared.begun:add(1)
    if number > LIMIT then return end
    local function send(timeout)
      local sent, message, code = shared.send(shared.into, make_message(number, id, shared), timeout)
      if sent then shared.marks:add(number, SENT) end
      return sent, message, code
    end
    local sent, _, code
    if number % 4 == 0 then
      sent, _, code = send(math.random() * 0.002)
    elseif number % 4 == 1 then
      sent, _, code = neap.timeout(math.random() * 0.002, send)
    else
      sent, _, code = send()
    end
    if code == "timeout" then
      shared.marks:add(number, REFUSED)
    elseif not sent then
      return assert(code == "broken", code)
    end
    neap.yield()
  end
end

local function take(shared, _, id)
  local last, never = {}, neap.channel() -- the number of the last one, by who sent it
  local function note(message)
    local number, sender = read_message(message, shared)
    shared.marks:add(number, GOT)
    if shared.ordered and number <= (last[sender] or 0) then shared.disordered:add(1) end
    last[sender] = number
  end
  local function receive(timeout)
    local message, reason, code = shared.receive(shared.out, timeout)
    if message == nil then return nil, reason, code end
    note(message)
    return true
  end
  local function choose(timeout)
    local _, message, reason, code = neap.select({ shared.out, never }, timeout)
    if message == "timeout" or message == nil then return nil, reason, code or reason end
    note(message)
    return true
  end
  local ways = { receive, choose, neap.timeout }
  while true do
    local way, taken, _, code = ways[math.random(6)]
    if way == neap.timeout then
      taken, _, code = neap.timeout(math.random() * 0.002, receive)
    elseif way == choose and not shared.selectable or way == nil then
      taken, _, code = receive()
    else
      taken, _, code = way(math.random() * 0.002)
    end
    if not taken and code ~= "timeout" then return assert(code == "closed" or code == "broken", code) end
    if id % 2 == 0 then neap.yield() end
  end
end

local function account(shared, deaths)
  local lost, unsure = 0, 0
  for number = 1, math.min(shared.begun:get(), LIMIT) do
    local mark = shared.marks[number]
    local times = mark // GOT
    if times > 1 then return ("message %d was received %d times"):format(number, times) end
    if times > 0 and mark & REFUSED ~= 0 then
      return ("message %d was refused and received (mark %d)"):format(number, mark)
    end
    if times == 0 and mark & SENT ~= 0 then lost = lost + 1 end
    if mark & (SENT | REFUSED) == 0 then unsure = unsure + 1 end
  end
  if lost > deaths * shared.takers then return ("%d messages lost by %d deaths"):format(lost, deaths) end
  if unsure > deaths * shared.givers then return ("%d messages forgotten by %d deaths"):format(unsure, deaths) end
  if shared.disordered:get() > 0 then return ("%d messages out of order"):format(shared.disordered:get()) end
end

--- A trade of messages. `who` "down": from home to the others; "up": the other way; "all": everybody to everybody.
-- `through`: send(into, message, timeout), receive(out, timeout), close(into); `ordered`, `selectable`: it is.
function messages.exchange(name, who, through)
  local shared = through
  shared.begun, shared.disordered = neap.value("i64"), neap.value("i64")
  shared.marks = neap.array("u8", LIMIT)
  shared.givers, shared.takers = who == "down" and 0 or 1, who == "up" and 0 or 1
  shared.ordered = through.ordered and who == "up"
  return {
    name = name .. " " .. who, shared = shared, account = account,
    give = { who ~= "down" and give or nil }, take = { who ~= "up" and take or nil },
    at_home = { give = { who ~= "up" and give or nil }, take = { who ~= "down" and take or nil } },
    stop = function() through.close(through.into) end,
  }
end

function messages.through_channel(capacity)
  local channel = neap.channel(capacity)
  return { into = channel, out = channel, send = channel.send, receive = channel.recv, close = channel.close,
    selectable = true, ordered = true }
end

function messages.through_queue(options)
  local queue = neap.queue(options)
  local function get(each, timeout)
    local value, message, code = each:get(timeout)
    if value == nil then return nil, message, code end
    each:task_done()
    return value
  end
  return { into = queue, out = queue, send = queue.put, receive = get, close = queue.close }
end

function messages.through_pipe(duplex)
  local one, other = neap.pipe(duplex)
  local into, out = one, other
  if not duplex then into, out = other, one end
  return { into = into, out = out, send = into.send, receive = out.recv, close = into.close, selectable = true,
    ordered = true }
end

function messages.through_list()
  local list, closed = neap.list(), neap.event()
  local function append(each, value)
    while #each > 8 do neap.sleep(0.001) end
    each:append(value)
    return true
  end
  local function pop(each)
    while true do
      local value = each:pop()
      if value ~= nil then return value end
      if closed:wait(0.001) and #each == 0 then return nil, "closed", "closed" end
    end
  end
  return { into = list, out = list, send = append, receive = pop, close = function() closed:set() end }
end

return messages
