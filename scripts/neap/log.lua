-- Logging: neap.log.
--
-- A call makes its line and puts it into a channel; a thread, the writer (log_writer.lua), takes the lines out and
-- writes them, so that no task waits for a disk. What all states of a process need to know of this is the sink, a table
-- that stands in the commons under "log":
--   lines    the channel, bounded, of items: a line; or { line for stderr, line for the file }; and of { flushed = an
--            event }, and { items = a list of them }, from a child process
--   level    a shared number: what is below it is not logged
--   dropped  a shared number: lines that nobody will see
--   writer   the thread's handle; nil where none could be started
--   stderr   { format =, colour = } or nil
--   file     { path =, format =, size =, daily =, keep = } or nil
--   drops    is a line dropped when the channel is full, instead of waiting?
--   parent   of a process that was started by one with a log: that one's channel, where the lines go
--
-- When the channel is closed there is another sink, or the program is ending and its writer has ended: then whoever
-- logs writes the line himself. So he does where no sink can be made, be it that no descriptor is left: such a line is
-- often about that.

local neap, internal = ...

local check, format = internal.load("neap.check"), internal.load("neap.log_format")

local log = {}
neap.log = log

local numbers = { debug = 1, info = 2, warn = 3, error = 4, off = 5 }
local names = {}
for name, number in pairs(numbers) do names[number] = name end

local DEFAULT_CAPACITY, DEFAULT_KEEP = 1024, 5

-- --- the sink ---

local function wants_colour()
  local no_color, terminal = os.getenv("NO_COLOR"), os.getenv("TERM")
  return internal.is_terminal() and (no_color == nil or no_color == "") and terminal ~= "dumb"
end

--- Starts the writer of `sink`. It has begun when this returns: a thread that is cancelled before would never run.
local function open(sink, capacity)
  sink.lines = neap.channel(capacity)
  local begun = neap.event()
  local started, writer = pcall(neap.thread, { name = "neap.log", daemon = true }, log._write, sink, begun)
  if started then
    sink.writer = writer
    if not pcall(neap.shield, neap.select, { begun, writer }) then -- nothing can wait here: it will not be long
      repeat until begun:is_set() or not writer:is_alive()
    end
  end
  if not started or not writer:is_alive() then sink.lines:close() end
  return sink
end

--- What is logged to when nobody has configured anything: what the process that started ours has, or stderr.
local function make_default()
  local inherited = internal.inherited()
  local parent = inherited and inherited.log
  if not parent then
    return open({
      level = neap.value("i64", numbers.info), dropped = neap.value("i64"),
      stderr = { format = "text", colour = wants_colour() },
    }, DEFAULT_CAPACITY)
  end
  return open({
    level = parent.level, dropped = parent.dropped, stderr = parent.stderr, file = parent.file, drops = parent.drops,
    parent = parent.lines,
  }, DEFAULT_CAPACITY)
end

local sink -- as this state knows it; nil: not looked up yet

local function find_sink()
  local commons = internal.commons()
  sink = commons.log or neap.shield(commons.update, commons, "log", function(there) return there or make_default() end)
  return sink
end

--- The channel is closed: is there another sink by now?
local function find_another()
  local before = sink.lines
  return find_sink().lines ~= before
end

-- --- logging ---

--- As the default does it.
local function write_without_sink(number, text, fields)
  if number < numbers.info then return end
  local bare = { stderr = { format = "text", colour = wants_colour() } }
  internal.load("neap.log_writer").stderr:write({ format.item(bare, names[number], text, fields, internal.context()) })
end

--- Makes a line and puts it into the channel, if there is room. That is no wait: it goes there even in a task that was
--- asked to stop, and so does the first line of a state, for which the sink is looked up, or made. True; or nil,
--- "closed" or "timeout", and the line.
local function try_line(number, text, fields)
  if not sink then
    if not pcall(find_sink) then
      write_without_sink(number, text, fields)
      return true
    elseif sink.level:get() > number then
      return true
    end
  end
  local item = format.item(sink, names[number], text, fields, internal.context())
  local sent, problem = sink.lines:send(item, 0)
  return sent, problem, item
end

--- Puts a line into the channel as soon as there is room. True; or nil and "closed", or "timeout": nothing can wait
--- here.
local function wait_for_room(item)
  local waited, sent, problem = pcall(sink.lines.send, sink.lines, item)
  if waited then return sent, problem end
  if neap.is_cancelled(sent) then error(sent, 0) end
  return nil, "timeout"
end

local writer_of = {} -- what writes without a thread, by sink

local function write_here(item)
  local writer = writer_of[sink] or internal.load("neap.log_writer").open(sink, false)
  writer_of[sink] = writer
  writer:write({ item })
end

local function log_line(number, text, fields)
  local sent, problem, item = neap.shield(try_line, number, text, fields)
  if problem == "timeout" and not sink.drops then sent, problem = wait_for_room(item) end
  if sent then return end
  if problem ~= "closed" then
    sink.dropped:add(1)
  elseif find_another() then
    log_line(number, text, fields)
  else
    write_here(item)
  end
end

for name, number in pairs(numbers) do
  log[name] = name ~= "off" and function(text, fields)
    if sink and sink.level:get() > number then return end
    if fields ~= nil and type(fields) ~= "table" then
      check.refuse(2, name, "table of fields expected, got " .. type(fields))
    end
    log_line(number, text, fields)
  end or nil
end

-- --- levels, context, counters ---

local check_level = check.one_of("debug", "info", "warn", "error", "off")

local function number_of(name, caller)
  local expected = check_level(name)
  if expected ~= true then check.refuse(1, caller, ("%s expected, got %s"):format(expected, tostring(name))) end
  return numbers[name]
end

function log.level() return names[(sink or find_sink()).level:get()] end

function log.set_level(name) (sink or find_sink()).level:set(number_of(name, "set_level")) end

function log.is_enabled(name) return (sink or find_sink()).level:get() <= number_of(name, "is_enabled") end

function log.dropped() return (sink or find_sink()).dropped:get() end

local scoped = { __close = function(self) internal.set_context(self.before) end }

function log.context(fields)
  local before = internal.context()
  if fields == nil then return format.copy(before or {}) end
  if type(fields) ~= "table" then check.refuse(1, "context", "table of fields expected, got " .. type(fields)) end
  local context = {}
  for name, value in pairs(before or {}) do context[name] = value end
  for name, value in pairs(format.copy(fields)) do context[name] = value end
  internal.set_context(context)
  return setmetatable({ before = before }, scoped)
end

-- --- flushing, configuring ---

function log.flush(timeout)
  check.timeout(timeout, 1, "flush")
  local current = sink or find_sink()
  local done, deadline = neap.event(), timeout and neap.now() + timeout
  local sent, message, code = current.lines:send({ flushed = done }, timeout)
  if code == "timeout" then return nil, message, code end
  if not sent or not current.writer then return true end -- there is nothing that has not been written
  local index
  index, message, code = neap.select({ done, current.writer }, deadline and math.max(0, deadline - neap.now()))
  if not index then return nil, message, code end
  return true
end

local check_format = check.one_of("text", "json")

local file_options = {
  path = check.text, format = check_format, size = check.count, daily = check.boolean,
  keep = function(value) return math.type(value) == "integer" and value >= 0 or "a whole number, 0 or more" end,
}

local options_known = {
  level = check_level, format = check_format, stderr = check.boolean, colour = check.boolean,
  file = check.either(check.text, check.table),
  capacity = check.count, full = check.one_of("block", "drop"),
}

--- The file of `options`; nil: none. Or nil, message, code, where it cannot be written.
local function check_file(options)
  local file = options.file
  if not file then return nil end
  file = check.options(type(file) == "string" and { path = file } or file, file_options, 1, "configure")
  if not file.path then check.refuse(1, "configure", "option 'file': it needs a path") end
  local opened, message, code = neap.fs.open(file.path, "a+") -- as the writer does: a pipe is not waited for
  if not opened then return nil, message, code end
  opened:close()
  file.format, file.keep = file.format or options.format or "text", file.keep or DEFAULT_KEEP
  return file
end

--- Takes the place of the sink that there is, and has that one's lines written.
local function replace(new)
  local commons = internal.commons()
  local old = commons.log
  commons.log, sink = new, new
  if not old then return end
  old.lines:close()
  if old.writer then old.writer:wait() end
end

function log.configure(options)
  options = check.options(options, options_known, 1, "configure")
  local file, message, code = check_file(options)
  if message then return nil, message, code end
  local stderr, colour = options.stderr, options.colour
  if stderr == nil then stderr = not file end
  if colour == nil then colour = wants_colour() end
  replace(open({
    level = neap.value("i64", numbers[options.level or "info"]), dropped = neap.value("i64"), file = file,
    stderr = stderr and { format = options.format or "text", colour = colour } or nil, drops = options.full == "drop",
  }, options.capacity or DEFAULT_CAPACITY))
  return true
end

--- The body of the writer's thread.
function log._write(its_sink, begun) internal.load("neap.log_writer").run(its_sink, begun) end

return log
