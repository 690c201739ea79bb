--- Work of a busy run: for pools, and for processes that serve others.

local neap = require "neap"

local work = {}

local JOBS = 3 -- that one has in a pool at a time

local function double(number, shared)
  local _ <close> = shared.semaphore:guard()
  shared.lock:with(function() shared.counted:set(shared.counted:get() + 1) end)
  shared.done:add(1)
  return number * 2
end

local function submit(shared, run)
  while not run.over:get() do
    local futures = {}
    for i = 1, JOBS do
      shared.given:add(1)
      local future, _, code = shared.pool:submit(double, i, shared)
      if not future then return assert(code == "broken", code) end
      futures[i] = future
    end
    for i, future in ipairs(futures) do
      local _, _, code = future:wait(600)
      if code then return assert(code == "broken", code) end
      local err = future:error()
      if err == nil then
        if future:result() ~= 2 * i then shared.wrong:add(1) end
        shared.answered:add(1)
      elseif tostring(err):find("was killed by signal 9$") then
        shared.failed:add(1)
      else
        error(err, 0)
      end
    end
  end
end

local function account_for_work(shared, deaths)
  local lost, given, failed = shared.pool:stats().lost, shared.given:get(), shared.failed:get()
  if not shared.pool:join(60) then return "the pool does not end" end
  if shared.wrong:get() > 0 then return ("%d results are another's"):format(shared.wrong:get()) end
  if failed > lost then return ("%d failed by %d deaths"):format(failed, lost) end
  local settled = shared.answered:get() + failed
  if settled > given or given - settled > JOBS * deaths then return ("%d of %d settled"):format(settled, given) end
  local counted, done = shared.counted:get(), shared.done:get()
  if counted < done or counted > done + lost then return ("%d counted, %d done"):format(counted, done) end
  if not shared.lock:acquire(10) then return "its lock cannot be acquired" end
  shared.lock:release()
  if not shared.semaphore:acquire(10) then return "its permit is gone" end
end

--- Everybody submits to a pool of that kind, which home has made.
function work.of_pool(kind)
  local shared = { pool = neap.pool { workers = 2, kind = kind, queue_limit = 6 }, semaphore = neap.semaphore(1),
    lock = neap.lock() }
  for _, name in ipairs { "counted", "done", "given", "answered", "failed", "wrong" } do
    shared[name] = neap.value("i64")
  end
  return { name = "pool of " .. kind, shared = shared, give = { submit }, take = {},
    at_home = { give = { submit }, take = {} }, account = account_for_work }
end

--- Each process offers channels and a lock of its own, and answers who uses them; which breaks when it dies.
function work.services()
  local function serve(shared)
    local requests, replies = neap.channel(1), neap.channel()
    local offered, _, code = shared.offers:send { requests, replies, neap.lock() }
    if not offered then return assert(code == "closed" or code == "broken", code) end
    while true do
      local index, request = neap.select { shared.finish, requests }
      if index ~= 2 or request == nil then return end
      if neap.select { shared.finish, { replies, request + 1 } } ~= 2 then return end
    end
  end
  local function ask(shared, requests, replies, lock, i)
    local held <close> = lock:guard()
    if not held or not requests:send(i) then return false end
    local reply = replies:recv()
    if reply ~= nil and reply ~= i + 1 then shared.wrong:add(1) end
    return reply ~= nil
  end
  local function visit(shared, run)
    while not run.over:get() do
      local offer = shared.offers:recv(0.05)
      if offer then
        local requests, replies, lock = table.unpack(offer)
        for i = 1, 1000 do
          if run.over:get() or not ask(shared, requests, replies, lock, i) then break end
        end
      end
    end
  end
  local function stop(shared)
    shared.finish:set()
    shared.offers:close()
  end
  return { name = "services", give = {}, take = { serve }, at_home = { give = { visit, visit }, take = {} },
    shared = { offers = neap.channel(2), finish = neap.event(), wrong = neap.value("i64") }, stop = stop,
    account = function(shared)
      if shared.wrong:get() > 0 then return ("%d wrong answers"):format(shared.wrong:get()) end
    end }
end

return work
