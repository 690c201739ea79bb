-- A busy run: a family of processes that trade with each other in every way (trades.lua), and of which one after the
-- other is killed.
--
-- Run by killing_spec.lua, as a program of its own, or by hand:
--
--   neap spec/busy/run.lua SEED KILLS [SECONDS [PAUSE]]
--
-- It goes in rounds, each with new handles and an account at its end, until there were so many KILLS or so many SECONDS
-- have passed (default: no limit). PAUSE: seconds between two kills, at most (default 0.01).
-- Prints "nothing is wrong", or what is.

local neap = require "neap"
local support = require "spec.support"
local trades = require "spec.busy.trades"

local ROUND, CHILDREN, DEPTH = 50, 3, 2 -- kills; children, each of which has a child
local SUSPICIONS = 1 << 16 -- that are noted
local PATIENCE = 120 -- seconds, until we say who waits for what
-- Bytes that we may be larger after many rounds than after one: so much the runner keeps of what is freed, and a
-- sanitizer more.
local GROWTH = support.sanitizer and math.maxinteger >> 1 or 64 << 20

local seed, kills = math.tointeger(tonumber(arg[1])), math.tointeger(tonumber(arg[2]))
local deadline, pause = neap.now() + tonumber(arg[3] or math.huge), tonumber(arg[4] or 0.01)

-- --- what each process does ---

local live

--- Has a child, and another one when that has been killed, until the run is over. Returns the last one.
local function breed(run, parent, depth)
  while true do
    local id, gave = run.ids:add(1), neap.event()
    local child = neap.process({ quiet = true, name = "process " .. id }, live, run, id, gave, depth, parent)
    run.offspring[id] = child
    neap.select { child, gave }
    run.offspring[id] = nil
    if child.exitcode ~= -9 or run.over:get() then return child end
  end
end

local function say_who_waits(id)
  for _, task in ipairs(neap.inspect().tasks) do
    io.stderr:write(("%d: %s %s %s %s\n"):format(id, task.name, task.status, task.waits_for or "", task.at or ""))
  end
end

--- All trades at once. `gave` is set when what it gives, and what its children give, has been given.
function live(run, id, gave, depth, parent)
  run.parents[id] = parent
  neap.spawn({ daemon = true }, function()
    run.stuck:wait()
    say_who_waits(id)
  end)
  local giving, taking = {}, {}
  for _, trade in ipairs(run.trades) do
    local options = { name = trade.name, quiet = true }
    for _, give in ipairs(trade.give) do giving[#giving + 1] = neap.spawn(options, give, trade.shared, run, id) end
    for _, take in ipairs(trade.take) do taking[#taking + 1] = neap.spawn(options, take, trade.shared, run, id) end
  end
  local breeding = depth > 1 and neap.spawn({ quiet = true }, breed, run, id, depth - 1)
  neap.gather(giving)
  local child = breeding and breeding:join()
  gave:set()
  neap.gather(taking)
  if child and child.exitcode ~= -9 then child:join() end
  run.survived[id] = 1
end

-- --- a round ---

--- The process that has made all, and is not killed.
local function settle_in(made, run)
  local home = { id = run.ids:add(1), giving = {}, taking = {} }
  for _, trade in ipairs(made) do
    local options = { name = trade.name, quiet = true }
    for _, give in ipairs(trade.at_home.give) do
      table.insert(home.giving, neap.spawn(options, give, trade.shared, run, home.id))
    end
    for _, take in ipairs(trade.at_home.take) do
      table.insert(home.taking, neap.spawn(options, take, trade.shared, run, home.id))
    end
  end
  return home
end

local function start_child(run)
  local id, gave = run.ids:add(1), neap.event()
  local options = { quiet = true, name = "process " .. id }
  return { handle = neap.process(options, live, run, id, gave, DEPTH, 0), gave = gave }
end

--- What we wait for must come to pass.
local function check(done, what, run)
  if done then return end
  run.stuck:set()
  say_who_waits(1)
  neap.sleep(5)
  print(what)
  os.exit(1)
end

local function has_ended(tasks)
  local _, pending = neap.wait(tasks, { timeout = PATIENCE })
  if #pending > 0 then return false end
  neap.gather(tasks) -- raises what one of them has raised
  return true
end

local function choose_worker()
  local workers = {}
  for _, process in ipairs(neap.processes()) do
    if process.name:find("worker") then workers[#workers + 1] = process end
  end
  return workers[math.random(#workers)]
end

local function choose_grandchild(run)
  local all = {}
  for _, process in pairs(run.offspring) do all[#all + 1] = process end
  return all[math.random(math.max(#all, 1))]
end

local function kill_one(run, children)
  local kind = math.random(4)
  local at = math.random(#children)
  local victim = kind == 1 and choose_grandchild(run) or kind == 2 and choose_worker() or children[at].handle
  victim:kill()
  if victim ~= children[at].handle then return end
  check(victim:wait(PATIENCE), "a process that was killed does not end", run)
  children[at] = start_child(run)
end

--- Everybody stops to give, then to take, and ends.
local function come_to_an_end(made, run, home, children)
  run.over:set(true)
  for _, child in ipairs(children) do
    check(neap.select({ child.gave, child.handle }, PATIENCE), "a process does not end to give", run)
  end
  check(has_ended(home.giving), "a task does not end to give", run)
  for _, trade in ipairs(made) do
    if trade.stop then trade.stop(trade.shared) end
  end
  check(has_ended(home.taking), "a task does not end to take", run)
  for _, child in ipairs(children) do
    check(child.handle:wait(PATIENCE), "a process does not end", run)
    child.handle:join()
  end
  run.survived[home.id] = 1
end

--- An orphan dies with its parent, even if it comes to its end before it hears of that: what it held is not its own any
-- more.
local function has_survived(run, id)
  return id == 0 or run.survived[id] == 1 and has_survived(run, run.parents[id])
end

local function account(made, run)
  local deaths, wrong = 0, {}
  for id = 1, run.ids:get() do
    if not has_survived(run, id) then deaths = deaths + 1 end
  end
  for number = 1, math.min(run.suspicion_count:get(), #run.suspicions) do
    local one, other = run.suspicions[number] >> 32, run.suspicions[number] & 0xffffffff
    if one ~= 0 and has_survived(run, one) and has_survived(run, other) then
      wrong[#wrong + 1] = "two were inside together"
    end
  end
  for _, trade in ipairs(made) do
    local complaint = trade.account(trade.shared, deaths)
    if complaint then wrong[#wrong + 1] = trade.name .. ": " .. complaint end
  end
  return deaths, wrong
end

local function new_run(made)
  local room = 20 * ROUND
  local run = { over = neap.value("bool"), ids = neap.value("i64"), survived = neap.array("u8", room),
    parents = neap.array("i64", room), offspring = neap.dict(), stuck = neap.event(), trades = {},
    suspicion_count = neap.value("i64"), suspicions = neap.array("i64", SUSPICIONS) }
  for i, trade in ipairs(made) do
    run.trades[i] = { name = trade.name, shared = trade.shared, give = trade.give, take = trade.take }
  end
  return run
end

--- Returns how many died, and what is wrong.
local function go_round(times)
  local made = trades.make()
  local run, children = new_run(made), {}
  local home = settle_in(made, run)
  for i = 1, CHILDREN do children[i] = start_child(run) end
  for _ = 1, times do
    neap.sleep(math.random() * pause)
    kill_one(run, children)
  end
  come_to_an_end(made, run, home, children)
  return account(made, run)
end

-- --- what is left behind ---

local function count_zombies()
  local count = 0
  local ps <close> = io.popen("ps -o stat= --ppid " .. neap.getpid())
  for line in ps:lines() do
    if line:find("^Z") then count = count + 1 end
  end
  return count
end

--- What should be as it was: how many descriptors, processes that are known, and that nobody has reaped; bytes.
local function look_around()
  collectgarbage()
  collectgarbage()
  local memory <close> = io.open("/proc/self/statm")
  return { descriptors = #neap.fs.list("/proc/self/fd"), processes = #neap.processes(), zombies = count_zombies(),
    bytes = select(2, memory:read("n", "n")) * 4096 }
end

local function compare(now, before)
  if now.zombies > 0 then return ("%d zombies"):format(now.zombies) end
  if now.processes > 0 then return ("%d processes"):format(now.processes) end
  if now.descriptors > before.descriptors then
    return ("%d descriptors, before %d"):format(now.descriptors, before.descriptors)
  end
  if now.bytes > before.bytes + GROWTH then return ("%d bytes, before %d"):format(now.bytes, before.bytes) end
end

--- What the last ones leave goes away in a moment.
local function find_remains(before)
  local limit = neap.now() + 20
  while compare(look_around(), before) and neap.now() < limit do neap.sleep(0.05) end
  return compare(look_around(), before)
end

-- --- all rounds ---

math.randomseed(seed)
local before
for from = 1, kills, ROUND do
  local clock = neap.now()
  local times = math.min(ROUND, kills - from + 1)
  local deaths, wrong = go_round(times)
  wrong[#wrong + 1] = before and find_remains(before)
  before = before or look_around()
  io.stderr:write(("%d kills, %d deaths, %.1f s\n"):format(times, deaths, neap.now() - clock))
  if #wrong > 0 then
    print(table.concat(wrong, "; "))
    os.exit(1)
  end
  if neap.now() > deadline then break end
end
print("nothing is wrong")
os.exit(0) -- futures of those that were killed have failed, and nobody has asked
