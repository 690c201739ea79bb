-- Makes files out of others, as make does: what depends on nothing that is still to be made is made at once, two
-- commands at a time, and what is newer than all that it is made of stays. Each target is a task; who needs it joins
-- that.
--
-- Prints:
--   first: 5 made, at most 2 at a time
--   again: 0 made
--   after a change: 2 made
--   a failure: cannot make b.txt: sh: no tide
local neap = require "neap"

local JOBS = 2

local function stamp(path)
  local stat = neap.fs.stat(path)
  return stat and stat.modified
end

--- Is `target` missing, or older than something that it is made of?
local function is_stale(target, needs)
  local made = stamp(target)
  if not made then return true end
  for _, need in ipairs(needs) do
    if stamp(need) >= made then return true end
  end
  return false
end

--- Makes `goal` by `rules`: target -> { command, what it is made of... }. Returns how many were made, and how many
-- commands have run at a time; or nil and what has failed.
local function make(rules, goal)
  local jobs, tasks = neap.semaphore(JOBS), {}
  local made, running, most = 0, 0, 0

  local function run(command)
    local _ <close> = jobs:guard()
    running = running + 1
    most = math.max(most, running)
    local result = assert(neap.run({"sh", "-c", command}))
    running = running - 1
    return result
  end

  local build

  --- The task that makes a target; the same for all who need it.
  local function task_of(scope, target)
    tasks[target] = tasks[target] or scope:spawn(build, scope, target)
    return tasks[target]
  end

  function build(scope, target)
    local rule = rules[target]
    if not rule then return assert(stamp(target), "there is no rule for " .. target) end
    local needs = {table.unpack(rule, 2)}
    local parts = {}
    for number, need in ipairs(needs) do parts[number] = task_of(scope, need) end
    for _, part in ipairs(parts) do part:join() end
    if not is_stale(target, needs) then return end
    local result = run(rule[1])
    if result.code ~= 0 then error(("cannot make %s: %s"):format(target:match("[^/]*$"), result.stderr), 0) end
    made = made + 1
  end

  local succeeded, problem = pcall(neap.scope, function(scope) task_of(scope, goal) end)
  if not succeeded then return nil, (tostring(problem):gsub("%s+$", "")) end
  return made, most
end

-- --- something to make ---

local folder = os.tmpname()
os.remove(folder)
assert(neap.fs.mkdir(folder))

local function path(name) return folder .. "/" .. name end

local function rule(command, ...)
  local needs = {...}
  for number, need in ipairs(needs) do needs[number] = path(need) end
  return {("cd %s && sleep 0.01 && %s"):format(folder, command), table.unpack(needs)}
end

local rules = {
  [path("all.txt")] = rule("cat a.txt b.txt c.txt d.txt > all.txt", "a.txt", "b.txt", "c.txt", "d.txt"),
}
for _, name in ipairs({"a", "b", "c", "d"}) do
  assert(neap.fs.write(path(name .. ".in"), name .. "\n"))
  rules[path(name .. ".txt")] = rule(("tr a-z A-Z < %s.in > %s.txt"):format(name, name), name .. ".in")
end

print(("first: %d made, at most %d at a time"):format(make(rules, path("all.txt"))))
print(("again: %d made"):format((make(rules, path("all.txt")))))
neap.sleep(0.02) -- files have times
assert(neap.fs.write(path("c.in"), "see\n"))
print(("after a change: %d made"):format((make(rules, path("all.txt")))))
assert(neap.fs.read(path("all.txt")) == "A\nB\nSEE\nD\n")
rules[path("b.txt")] = rule("echo sh: no tide >&2; false", "c.in")
print("a failure: " .. select(2, make(rules, path("all.txt"))))
assert(neap.fs.remove(folder, {recursive = true}))
