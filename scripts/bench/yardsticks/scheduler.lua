--[[
What someone who needs tasks and channels writes by hand on plain coroutines, and writes well: a run queue, rendezvous
channels with their waiting senders and receivers, a value handed over at the moment of the wake-up. It has no
timeouts, no cancellation, no errors to speak of and one thread.

Lists are arrays with a first and a last index, which start over whenever they run empty, so that they stay small.
--]]

local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield

local scheduler = {}

-- Tasks that can go on, and what their wait returns.
local tasks, values, first, last = {}, {}, 1, 0
local current

local function ready(task, value)
  last = last + 1
  tasks[last] = task
  values[last] = value
end

--- Runs fn as a task, once `run` is called.
function scheduler.spawn(fn)
  ready(create(fn))
end

--- Runs until no task can go on.
function scheduler.run()
  while first <= last do
    local task, value = tasks[first], values[first]
    tasks[first], values[first] = nil, nil
    if first == last then
      first, last = 1, 0
    else
      first = first + 1
    end
    current = task
    local ok, message = resume(task, value)
    if not ok then error(message) end
  end
end

local channel = {}
channel.__index = channel

--- Hands a value to a receiver; waits for one to come.
function channel:send(value)
  local at = self.first_receiver
  if at <= self.last_receiver then
    local receiver = self.receivers[at]
    self.receivers[at] = nil
    if at == self.last_receiver then
      self.first_receiver, self.last_receiver = 1, 0
    else
      self.first_receiver = at + 1
    end
    ready(receiver, value)
    return true
  end
  at = self.last_sender + 1
  self.last_sender = at
  self.senders[at], self.sent[at] = current, value
  yield()
  return true
end

--- Takes a value from a sender; waits for one to come.
function channel:recv()
  local at = self.first_sender
  if at <= self.last_sender then
    local sender, value = self.senders[at], self.sent[at]
    self.senders[at], self.sent[at] = nil, nil
    if at == self.last_sender then
      self.first_sender, self.last_sender = 1, 0
    else
      self.first_sender = at + 1
    end
    ready(sender)
    return value
  end
  at = self.last_receiver + 1
  self.last_receiver = at
  self.receivers[at] = current
  return yield()
end

--- A rendezvous channel.
function scheduler.channel()
  return setmetatable({
    receivers = {}, first_receiver = 1, last_receiver = 0,
    senders = {}, sent = {}, first_sender = 1, last_sender = 0,
  }, channel)
end

return scheduler
