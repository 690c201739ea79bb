-- A session: what is typed is run, what comes of it is written. It knows neither terminals nor sockets: a front tells
-- it where to write, and how to wait for what runs.
--
--   front.write(text), front.write_error(text)   whole lines
--   front.await(task)       waits until the task has ended; cancels it when the user asks for that
--   front.width()           columns
--   front.colour            whether values are written in colours
--   front.env               the globals of what runs; nil: those of the program
--   front.daemon            whether what runs leaves the program free to end
--
-- Each chunk runs as a task of its own, so that it can be cancelled, and so that what it spawned goes on.

local neap, internal = ...

local chunk = internal.load "neap.prompt.chunk"
local show = internal.load "neap.prompt.show"
local complete = internal.load "neap.prompt.complete"
local commands = internal.load "neap.prompt.commands"

local chunk_name = "=prompt"
local results_at_most = 50

local Session = {}
Session.__index = Session

--- The locals, made when a script that goes before has set its globals: what that calls neap is not hidden.
local function locals_of(self)
  if not self.locals then
    local known = rawget(self.front.env or _G, "neap")
    self.locals = chunk.new_locals((known == nil or known == neap) and neap or nil)
  end
  return self.locals
end

-- --- errors ---

--- Leaves of a traceback what is the user's: the frames of the prompt, and all that is around them, go.
local function trim(traceback)
  local lines, ours = {}, false
  for line in traceback:gmatch("[^\n]+") do
    if line:find("^%S") then ours = false end -- "stack traceback:", "caused by:"
    if line:find("[neap.prompt.", 1, true) then ours = true end
    if not ours and line ~= "\t[C]: in ?" then lines[#lines + 1] = line end
  end
  for number = #lines, 1, -1 do -- headings of nothing
    if lines[number] == "stack traceback:" and not (lines[number + 1] or ""):find("^\t") then
      table.remove(lines, number)
      if lines[number - 1] == "caused by:" then table.remove(lines, number - 1) end
    end
  end
  for number, line in ipairs(lines) do
    if lines[number + 1] == nil or not lines[number + 1]:find("^\t") then
      lines[number] = line:gsub("^(\tprompt:%d+: in )%l+ 'fn'$", "%1the chunk")
    end
  end
  return lines
end

--- An error as text. What it says of itself it says in a task of its own, which can be interrupted.
local function describe_error(self, err)
  if type(err) == "string" then return err end
  local options = { width = self.front.width(), colour = self.front.colour }
  local task = neap.spawn({ name = "prompt", quiet = true, daemon = true }, show, err, options)
  self.front.await(task)
  if task:status() == "done" then return "error: " .. task:join() end
  return ("error: a %s"):format(type(err))
end

--- Writes an error and its traceback. `who`, if given, is the one in the background that failed.
function Session:report(err, traceback, who)
  local lines = trim(traceback or "")
  local text = who and ("%s failed: %s"):format(who, tostring(err)) or describe_error(self, err)
  if #lines > 0 then text = text .. "\n" .. table.concat(lines, "\n") end
  self.front.write_error(text .. "\n")
end

-- --- running ---

--- The values as text, on one line if they fit; made by the task that has them, so that it can be interrupted.
local function show_all(self, results)
  local width = self.front.width()
  local options, shown = { width = width, colour = self.front.colour }, {}
  for i = 1, math.min(results.n, results_at_most) do shown[i] = show(results[i], options) end
  if results.n > results_at_most then
    shown[#shown + 1] = ("... %d more values"):format(results.n - results_at_most)
  end
  local line = table.concat(shown, ", ")
  local columns = #line:gsub("\27%[[%d;]*m", "")
  if columns <= width and not line:find("\n", 1, true) then return line end
  return table.concat(shown, "\n")
end

local function evaluate(self, fn, after, ...)
  local started, processor = neap.now(), os.clock()
  local results = table.pack(fn(...))
  local elapsed, used = neap.now() - started, os.clock() - processor
  if results.n > 0 then self.front.write(show_all(self, results) .. "\n") end
  if after then after(elapsed, used) end
end

--- Runs a function as a task and reports how it failed. `after`, if given, is told the seconds and processor seconds
-- that it took. True when it did not fail.
function Session:run(fn, after, ...)
  local task = neap.spawn({ name = "prompt", quiet = true, daemon = self.front.daemon }, evaluate, self, fn, after, ...)
  self.front.await(task)
  local status = task:status()
  if status == "cancelled" then
    self.front.write_error("interrupted\n")
  elseif status == "failed" then
    self:report(task:error(), task:traceback())
  end
  return status == "done"
end

--- Runs code that is complete.
function Session:run_code(code, is_expression, after)
  local fn, message = chunk.compile(locals_of(self), code, is_expression, chunk_name, self.front.env or _G)
  if not fn then return self.front.write_error(message .. "\n") end
  return self:run(fn, after)
end

--- Compiles an expression or chunk that stands on one line, and runs it.
function Session:run_text(text, after)
  local state, code, is_expression = chunk.read(text, chunk_name)
  if state == "complete" then return self:run_code(code, is_expression, after) end
  self.front.write_error((code or "this is not complete") .. "\n")
end

-- --- lines ---

-- What a new user tries first; globals of these names go before.
local guesses = {
  help = ":help lists the commands; :doc NAME is the reference",
  quit = ":q or Ctrl-D leaves",
  exit = ":q or Ctrl-D leaves",
}

--- What to say to a line that only guesses a command; nil: it is none.
local function hint(self, line)
  local word = line:match("^%s*(%a+)%s*%(?%)?%s*$")
  if not guesses[word] or locals_of(self).cells[word] then return nil end
  local env = self.front.env or _G
  if env[word] == nil and _G[word] == nil then return guesses[word] end
end

--- Takes a line: "more" when the chunk goes on, "ready" when the next one may come, "quit" when the user leaves.
function Session:feed(line)
  local lines = self.lines
  if #lines == 0 and line:find("^%s*:%a") then return commands.run(self, line) or "ready" end
  local advice = #lines == 0 and hint(self, line)
  if advice then
    self.front.write(advice .. "\n")
    return "ready"
  end
  lines[#lines + 1] = line
  local text = table.concat(lines, "\n")
  local state, code, is_expression = chunk.read(text, chunk_name)
  if state == "incomplete" then return "more" end
  self.lines = {}
  if state == "error" then
    self.front.write_error(code .. "\n")
  else
    self:run_code(code, is_expression)
  end
  return "ready"
end

--- No more lines come: what was not complete is said to be wrong.
function Session:finish()
  if #self.lines == 0 then return end
  local _, message = load(table.concat(self.lines, "\n"), chunk_name, "t")
  self.lines = {}
  self.front.write_error((message or "this is not complete") .. "\n")
end

--- Forgets a chunk that was begun. True when there was one.
function Session:discard()
  local began = #self.lines > 0
  self.lines = {}
  return began
end

-- --- completion ---

--- What a local or global of that name holds. Nothing is called to find out.
function Session:lookup(name)
  local cell, env = locals_of(self).cells[name], self.front.env or _G
  if cell then return cell() end
  local value = rawget(env, name)
  if value == nil then value = rawget(_G, name) end
  if value == nil and name == "neap" then return neap end
  return value
end

function Session:complete(text)
  if #self.lines == 0 and text:find("^%s*:[%a]*$") then return commands.complete(text) end
  local locals, env = locals_of(self), self.front.env or _G
  local scope = {}
  function scope.lookup(name) return self:lookup(name) end
  function scope.names()
    local names = {}
    for _, name in ipairs(locals.names) do names[#names + 1] = name end
    for name in next, env do names[#names + 1] = name end
    if env ~= _G then
      for name in next, _G do names[#names + 1] = name end
    end
    local index = 0
    return function()
      index = index + 1
      return names[index]
    end
  end
  return complete(text, scope)
end

return function(front) return setmetatable({ front = front, lines = {} }, Session) end
