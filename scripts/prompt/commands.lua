-- What begins with a colon at the prompt.

local neap, internal = ...

local doc = internal.load "neap.prompt.doc"
local inspect = internal.load "neap.inspect"

local rows_at_most = 200 -- of a table of tasks and the like

local commands = {} -- name -> { usage, help, run(session, argument) }
local order = {}

local function command(name, usage, help, run)
  commands[name] = { usage = usage, help = help, run = run }
  order[#order + 1] = name
end

local function say(session, text) session.front.write(text .. "\n") end

local function complain(session, text) session.front.write_error(text .. "\n") end

-- --- tables of text ---

--- The last cell of a line that would be wider than `width` goes below it.
local function fit(cells, width)
  local line = table.concat(cells, "  "):gsub("%s+$", "")
  if #cells == 1 or (utf8.len(line) or #line) <= width then return line end
  return (table.concat(cells, "  ", 1, #cells - 1):gsub("%s+$", "")) .. "\n    " .. cells[#cells]:gsub("%s+$", "")
end

--- Rows of texts as lines, their columns aligned; the first row is the heading.
local function align(rows, width)
  local widths = {}
  local more = #rows - 1 - rows_at_most
  if more > 0 then rows = table.move(rows, 1, rows_at_most + 1, 1, {}) end
  for _, row in ipairs(rows) do
    for column, text in ipairs(row) do widths[column] = math.max(widths[column] or 0, utf8.len(text) or #text) end
  end
  local lines = {}
  for number, row in ipairs(rows) do
    local cells = {}
    for column, text in ipairs(row) do
      cells[column] = text .. (" "):rep(widths[column] - (utf8.len(text) or #text))
    end
    lines[number] = fit(cells, width)
  end
  if more > 0 then lines[#lines + 1] = ("... %d more"):format(more) end
  return table.concat(lines, "\n")
end

local function say_table(session, nothing, rows)
  if #rows == 1 then return say(session, nothing) end
  say(session, align(rows, session.front.width()))
end

local function seconds(number) return number and ("%.2f s"):format(number) or "" end

--- Runs something that waits as a task, so that it can be interrupted.
local function run(session, fn)
  session:run(function() fn() end)
end

-- --- the commands ---

command("help", ":help", "this list", function(session)
  local rows = {}
  for _, name in ipairs(order) do rows[#rows + 1] = { commands[name].usage, commands[name].help } end
  say(session, "An expression shows its values; a statement is run; what is not complete goes\n"
    .. "on on the next line. Locals declared outside of blocks live on; neap is there as\n"
    .. "a global. Tab completes, Ctrl-C interrupts, Ctrl-D leaves.\n\n" .. align(rows, session.front.width()))
end)

command("tasks", ":tasks", "the tasks of all threads: what each waits for, since when and where", function(session)
  run(session, function()
    local rows = { { "id", "name", "thread", "status", "since", "waits for", "at" } }
    for _, task in ipairs(neap.inspect().tasks) do
      rows[#rows + 1] = { tostring(task.id), task.name, task.thread, task.status, seconds(task.since),
        task.waits_for or "", task.at or "" }
    end
    say_table(session, "no tasks", rows)
  end)
end)

command("threads", ":threads", "the threads", function(session)
  run(session, function()
    local rows = { { "id", "name", "status", "tasks" } }
    for _, thread in ipairs(neap.inspect().threads) do
      rows[#rows + 1] = { tostring(thread.id or ""), thread.name, thread.status, tostring(thread.tasks or "?") }
    end
    say_table(session, "no threads", rows)
  end)
end)

command("processes", ":processes", "the child processes", function(session)
  run(session, function()
    local rows = { { "id", "name", "pid", "status" } }
    for _, process in ipairs(neap.inspect().processes) do
      rows[#rows + 1] = { tostring(process.id), process.name, tostring(process.pid), process.status }
    end
    say_table(session, "no child processes", rows)
  end)
end)

command("locks", ":locks", "what is held or waited for to be held, by whom", function(session)
  run(session, function()
    local rows = { { "what", "held by", "waited for by" } }
    for _, lock in ipairs(neap.inspect().locks) do
      rows[#rows + 1] = { lock.name, table.concat(lock.holders, ", "), table.concat(lock.waiters, ", ") }
    end
    say_table(session, "no lock is held", rows)
  end)
end)

--- What kind of handle the value is; nil: none.
local function kind_of(value)
  local metatable = type(value) == "userdata" and debug.getmetatable(value)
  return metatable and metatable.__name
end

--- Where to look for the tasks of what is no task itself.
local where = {
  thread = "a task of it is wanted; :tasks lists them",
  process = "its tasks are not to be seen from here",
}

--- The task that is meant by its id, its name, or a variable that holds it, of neap.inspect; nil when it has been said
-- why there is none.
local function find_task(session, argument)
  if argument == "" then return complain(session, "which task? Its id or name is wanted; :tasks lists them") end
  local value = session:lookup(argument)
  local kind = kind_of(value)
  local found, held, held_id = {}, nil, kind == "task" and value.id or nil
  for _, task in ipairs(neap.inspect().tasks) do
    if tostring(task.id) == argument then return task end
    if task.name == argument then found[#found + 1] = task end
    if task.id == held_id then held = task end
  end
  if #found == 0 and held_id then return held or complain(session, "it has ended") end
  if #found == 1 then return found[1] end
  if #found == 0 and where[kind] then
    return complain(session, ("%s is a %s: %s"):format(argument, kind, where[kind]))
  end
  if #found == 0 then return complain(session, ("no task '%s'; :tasks lists them"):format(argument)) end
  local ids = {}
  for _, task in ipairs(found) do ids[#ids + 1] = tostring(task.id) end
  complain(session, ("%d tasks are called '%s': use an id (%s)"):format(#found, argument, table.concat(ids, ", ")))
end

command("bt", ":bt TASK", "the stack of a task, by its id, its name or a variable", function(session, argument)
  run(session, function()
    local task = find_task(session, argument)
    if not task then return end
    local stack = inspect.ask_about("stack", task.id)
    if stack then say(session, stack) else complain(session, "it has ended") end
  end)
end)

command("kill", ":kill TASK", "cancels a task", function(session, argument)
  run(session, function()
    local task = find_task(session, argument)
    if not task then return end
    local cancelled = inspect.ask_about("cancel", task.id)
    if cancelled then
      say(session, ("%s was asked to stop"):format(task.name))
    else
      complain(session, ("%s has ended, or was asked to stop before"):format(task.name))
    end
  end)
end)

command("time", ":time EXPR", "runs it and says how long it took", function(session, argument)
  if argument == "" then return complain(session, "what is to be run? Usage: :time EXPR") end
  session:run_text(argument, function(elapsed, processor)
    say(session, ("%.6f s, %.6f s of processor time"):format(elapsed, processor))
  end)
end)

command("load", ":load FILE", "runs a file", function(session, argument)
  if argument == "" then return complain(session, "which file? Usage: :load FILE") end
  local fn, message = loadfile(argument, "t", session.front.env or _G)
  if not fn then return complain(session, message) end
  session:run(fn)
end)

command("doc", ":doc NAME", "what the reference says of a function, method or class", function(session, argument)
  if argument == "" then return complain(session, "of what? Usage: :doc NAME, as in :doc neap.channel") end
  local text, near = doc(internal.reference(), argument, session.front.width())
  if text then return say(session, text) end
  local hint = #near > 0 and "; there is " .. table.concat(near, ", ", 1, math.min(#near, 8)) or ""
  complain(session, ("the reference has no '%s'%s"):format(argument, hint))
end)

command("q", ":q", "leaves", function() return "quit" end)

-- --- looking them up ---

--- How many letters have to be changed, added or taken away to make one of the other.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal
    diagonal, row[0] = row[0], i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

local function nearest(name)
  local best, best_distance
  for _, candidate in ipairs(order) do
    local d = distance(name, candidate)
    if candidate:sub(1, #name) == name then d = 0 end
    if not best or d < best_distance then best, best_distance = candidate, d end
  end
  return best
end

local aliases = { quit = "q", exit = "q" }

local M = {}

--- Runs a line that is a command. Returns "quit" when the user wants to leave.
function M.run(session, line)
  local name, argument = line:match("^%s*:(%a+)%s*(.-)%s*$")
  local found = commands[aliases[name] or name]
  if not found then
    return complain(session, ("no command ':%s'; did you mean :%s? :help lists them"):format(name, nearest(name)))
  end
  return found.run(session, argument)
end

--- As complete.lua does.
function M.complete(text)
  local prefix = text:match(":(%a*)$")
  local names = {}
  for _, name in ipairs(order) do
    if name:sub(1, #prefix) == prefix then names[#names + 1] = name end
  end
  table.sort(names)
  return #text - #prefix + 1, names
end

return M
