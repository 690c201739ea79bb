-- kill -9 at random instants of processes that are busy with each other: nobody but the victim loses anything.

local neap = require "neap"
local elsewhere = require "spec.elsewhere"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local start, kill = elsewhere.start, elsewhere.kill

--- In a program of its own, which says what is wrong. For `seconds` at most, and a round more.
local function kill_in_busy_run(kills, seconds)
  local runner = support.quote(support.runner)
  local command = ("%s spec/busy/run.lua %d %d %d"):format(runner, trial.seed(), kills, seconds)
  local result = support.run_command(command, { limit = seconds + 200 })
  assert.are.equal("nothing is wrong\n", result.stdout, result.stderr)
  assert.are.equal(0, result.status, result.stderr)
end

--- Takes turns with others until it is over. Who died in its turn has abandoned it, and then nobody is inside.
local function take_turns(lock, over, inside, guarded, done, abandoned, wrong)
  while not over:get() do
    local _, how = lock:acquire()
    if how == "abandoned" then
      abandoned:add(1)
      inside:set(0)
    end
    if inside:add(1) ~= 1 then wrong:add(1) end
    guarded:set(guarded:get() + 1)
    done:add(1)
    inside:add(-1)
    lock:release()
  end
end

local function kill_in_turn(kills)
  trial.seed()
  local lock, over, inside = neap.lock(), neap.value("bool"), neap.value("i64")
  local guarded, done = neap.value("i64"), neap.value("i64")
  local abandoned, wrong = neap.value("i64"), neap.value("i64")
  local function begin()
    return neap.process(take_turns, lock, over, inside, guarded, done, abandoned, wrong)
  end
  local running = { begin(), begin(), begin(), begin() }

  for _ = 1, kills do
    local before, limit = done:get(), neap.now() + 60
    while done:get() == before and neap.now() < limit do neap.sleep(0.0005) end
    assert.is_true(done:get() > before, "nobody gets on")
    neap.sleep(math.random() * 0.003)
    local at = math.random(#running)
    running[at]:kill(9)
    assert.is_true((running[at]:wait(60)))
    running[at] = begin()
  end
  over:set(true)
  for _, process in ipairs(running) do assert.is_true((process:wait(60)), "one waits for ever") end

  assert.are.equal(0, wrong:get())
  assert.is_true((lock:acquire(60)))
  lock:release()
  -- Whoever was killed between the two had counted in one of them only.
  local difference = guarded:get() - done:get()
  assert.is_true(difference >= 0 and difference <= kills, ("%d counts too many"):format(difference))
  assert.is_true(abandoned:get() <= kills, ("%d abandoned by %d"):format(abandoned:get(), kills))
end

describe("kill -9 at random instants of processes that all want one lock", function()
  it("loses no turn but the victim's, and tells who is next", function() kill_in_turn(15) end)
  it("loses no turn but the victim's, and tells who is next, often #stress", function() kill_in_turn(400) end)
end)

describe("kill -9 at random instants of a busy run of channels, locks, pools and all the rest", function()
  it("loses nothing but the victim's own job", function() kill_in_busy_run(500, 40) end)
  it("loses nothing but the victim's own job, often #stress", function()
    kill_in_busy_run(500 * support.stress, 300)
  end)
end)

-- Processes that lock and release all the time are killed at random instants: the lock goes on, and says so.
local function kill_holders_at_random(kills)
  trial.seed()
  local lock, inside, turns = neap.lock(), neap.value("i64"), neap.value("i64")
  local function work(l, i, t)
    while true do
      l:acquire()
      i:set(require("neap").getpid())
      t:add(1)
      i:set(0)
      l:release()
    end
  end
  local workers = { start(work, lock, inside, turns), start(work, lock, inside, turns) }
  while turns:get() == 0 do neap.yield() end -- a process takes its time to begin
  for _ = 1, kills do
    local i = math.random(2)
    neap.sleep(math.random() * 0.003)
    kill(workers[i])
    local ok, how = lock:acquire()
    assert.is_true(ok)
    assert.is_true(inside:get() == 0 or how == "abandoned", "somebody is inside, and the lock was free")
    inside:set(0)
    lock:release()
    workers[i] = start(work, lock, inside, turns)
  end
  for i = 1, 2 do kill(workers[i]) end
end

-- A job is its number, or where it has a `size` a text of so many bytes, and more, that begins with it.
local function make_job(number, size) return size and number .. ("."):rep(size) or number end

local function number_of(job, size)
  if not size then return job end
  local number = math.tointeger(job:match("^%d+"))
  assert.is_true(job == make_job(number, size), "a job is torn")
  return number
end

-- Work that is handed out and answered through channels, under a lock, by processes that are killed at random instants.
local function kill_receivers_at_random(kills, capacity, size)
  trial.seed()
  local jobs, done, lock, count = neap.channel(capacity), neap.queue(), neap.lock(), neap.channel(1)
  count:send(0)
  local function work(j, d, l, c)
    for job in j:iter() do
      l:acquire()
      local n = c:recv(0)
      if n then c:send(n + 1) end
      l:release()
      d:put(job)
    end
  end
  local given, lost, workers = 0, 0, {}
  local giver = neap.spawn(function()
    while true do
      jobs:send(make_job(given + 1, size))
      given = given + 1
    end
  end)
  for i = 1, 2 do workers[i] = start(work, jobs, done, lock, count) end
  for _ = 1, kills do
    local i = math.random(2)
    neap.sleep(math.random() * 0.005)
    kill(workers[i])
    lost = lost + 1
    workers[i] = start(work, jobs, done, lock, count)
    if not count:recv(0) then -- it died with the count in its hand: somebody gives it back
      lock:acquire()
      count:recv(0)
      count:send(0)
      lock:release()
    else
      count:send(0)
    end
  end
  giver:cancel()
  giver:wait()
  jobs:close()
  for i = 1, 2 do workers[i]:join() end
  local seen = {}
  while true do
    local job = done:get(0)
    if not job then break end
    local number = number_of(job, size)
    assert.is_nil(seen[number], "a job was done twice")
    seen[number] = true
  end
  local missing = 0
  for job = 1, given do
    if not seen[job] then missing = missing + 1 end
  end
  assert.is_true(missing <= lost, ("%d jobs of %d are missing after %d kills"):format(missing, given, lost))
end

describe("kill -9 at random instants", function()
  it("loses nothing but what the dead had in hand", function() kill_receivers_at_random(15, 4) end)
  it("loses nothing of what was under way to them", function() kill_receivers_at_random(15, 64) end)
  it("loses nothing, and tears nothing, that is large", function() kill_receivers_at_random(15, 2, 1 << 20) end)
  it("leaves no lock with the dead", function() kill_holders_at_random(15) end)
  it("leaves no lock with the dead, often #stress", function() kill_holders_at_random(500) end)
  it("loses nothing but what the dead had in hand, often #stress", function() kill_receivers_at_random(500, 4) end)
  it("loses nothing of what was under way to them, often #stress", function() kill_receivers_at_random(500, 64) end)
  it("loses nothing, and tears nothing, that is large, often #stress", function()
    kill_receivers_at_random(300, 2, 1 << 20)
  end)
end)
