--- Turns of a busy run: at locks, and permits.
--
-- Who has the lock writes its id into `inside`, and into `counted`, beside the count of turns. Whoever finds another's
-- there has a suspicion: if both survive, two were inside together. (What an orphan holds may be others' already: so
-- nobody may lose a count by overwriting it.)

local neap = require "neap"

local turns = {}

local function suspect(run, id, other)
  local number = run.suspicion_count:add(1)
  if number <= #run.suspicions then run.suspicions[number] = id << 32 | other end
end

local function look_inside(shared, run, id)
  local other = shared.inside:get()
  if other ~= 0 then suspect(run, id, other) end
end

local function count_turn(shared, run, id)
  local counted = shared.counted:get()
  while not shared.counted:cas(counted, (counted >> 32) + 1 << 32 | id) do
    counted = shared.counted:get()
    suspect(run, id, counted & 0xffffffff)
  end
end

local function have_turn(shared, run, id)
  look_inside(shared, run, id)
  shared.inside:set(id)
  count_turn(shared, run, id)
  shared.done:add(1)
  if id % 3 == 0 then neap.yield() end
  shared.inside:set(0)
end

local function account_for_turns(shared, deaths)
  local counted, done = shared.counted:get() >> 32, shared.done:get()
  if counted < done or counted > done + deaths then
    return ("%d turns were counted, and %d were had"):format(counted, done)
  end
  for _, verb in ipairs(shared.verbs) do
    local acquired, how = shared.lock[verb](shared.lock, 10)
    if not acquired then return verb .. ": " .. how end
    shared.lock:release()
  end
end

--- `kind`: of the lock; `writing`, `reading`: what follows "acquire" and "guard" for what one has alone, and what many
-- have.
function turns.at_lock(kind, writing, reading)
  local acquire, guard = "acquire" .. writing, "guard" .. writing
  local function write(shared, run, id)
    local lock = shared.lock
    while not run.over:get() do
      local way = math.random(3)
      if way == 1 then
        local held <close>, _, code = lock[guard](lock, 600)
        if not held then return assert(code == "broken", code) end
        have_turn(shared, run, id)
      else
        local acquired, _, code = lock[acquire](lock, way == 2 and math.random(0, 1) * 0.001 or nil)
        if acquired then
          have_turn(shared, run, id)
          lock:release()
        elseif code ~= "timeout" then
          return assert(code == "broken", code)
        end
      end
      neap.yield()
    end
  end
  local function read(shared, run, id)
    while not run.over:get() do
      local held <close>, _, code = shared.lock["guard" .. reading](shared.lock)
      if not held then return assert(code == "broken", code) end
      look_inside(shared, run, id)
      neap.yield()
    end
  end
  local shared = { lock = neap[kind](), inside = neap.value("i64"), counted = neap.value("i64"),
    done = neap.value("i64"), verbs = { acquire, reading and "acquire" .. reading } }
  return { name = kind, shared = shared, give = { write, reading and read }, take = {},
    at_home = { give = { write }, take = {} }, account = account_for_turns }
end

--- Permits that come back by themselves: in the end all are there.
function turns.guarded_permits()
  local permits = 2
  local function give(shared, run)
    while not run.over:get() do
      local held <close>, _, code = shared.semaphore:guard()
      if not held then return assert(code == "broken", code) end
      neap.yield()
    end
  end
  local function account(shared)
    local limit = neap.now() + 20
    while shared.semaphore:value() ~= permits and neap.now() < limit do neap.sleep(0.001) end
    local value = shared.semaphore:value()
    if value ~= permits then return ("%d permits of %d"):format(value, permits) end
  end
  return { name = "guarded permits", shared = { semaphore = neap.semaphore(permits) }, give = { give, give }, take = {},
    at_home = { give = { give }, take = {} }, account = account }
end

--- Permits that belong to nobody: the dead keep theirs, and others are given in their place.
function turns.signalled_permits()
  local permits = 3
  local function give(shared, run)
    while not run.over:get() do
      local acquired, _, code = shared.semaphore:acquire(math.random() * 0.01)
      if acquired then
        shared.acquired:add(1)
        neap.yield()
        shared.begun:add(1)
        shared.semaphore:release()
        shared.released:add(1)
      elseif code ~= "timeout" then
        return assert(code == "broken", code)
      end
    end
  end
  local function refill(shared, run)
    while not run.over:get() do
      neap.sleep(0.01)
      shared.begun:add(1)
      shared.semaphore:release()
      shared.released:add(1)
    end
  end
  --- Who died between the semaphore and the count of it makes a difference of one.
  local function account(shared, deaths)
    local value, acquired = shared.semaphore:value(), shared.acquired:get()
    local least = permits + shared.released:get() - acquired - deaths
    local most = permits + shared.begun:get() - acquired
    if value < least or value > most then return ("%d permits, not %d to %d"):format(value, least, most) end
  end
  return { name = "signalled permits", give = { give }, take = {}, at_home = { give = { give, refill }, take = {} },
    shared = { semaphore = neap.semaphore(permits), acquired = neap.value("i64"), begun = neap.value("i64"),
      released = neap.value("i64") }, account = account }
end

return turns
