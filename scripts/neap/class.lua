-- The class form of tasks, threads and processes: neap.Task, neap.Thread, neap.Process.
--
-- A class is the metatable of its objects, and inherits from its parent through a metatable of its own. An object is a
-- plain table with the script's fields, and `_record` for what is ours: name, daemon, quiet, target, args; cancelled
-- and reason, when that was asked before the start; handle, after it. "name", "id" and the like are never raw fields,
-- so that __index and __newindex see them.
--
-- An object that is copied to its thread or process takes its class along: classes are registered, by their name and
-- the place that extends. What a class has from here stands in neap.Task, neap.Thread or neap.Process, and so goes by
-- name.

local neap, internal = ...

local option_types = { target = "function", args = "table", name = "string", daemon = "boolean", quiet = "boolean" }
local option_list = "args, daemon, name, quiet, target"

local function record_of(self, method)
  local record = type(self) == "table" and rawget(self, "_record")
  if type(record) == "table" then return record end
  error(("bad argument #1 to '%s' (task, thread or process expected, got %s)"):format(method, type(self)), 3)
end

-- --- fields ---

local function read_handle(record, key) return record.handle and record.handle[key] end

local getters = {
  name = function(record) return read_handle(record, "name") or record.name end,
  id = function(record) return read_handle(record, "id") end,
  data = function(record) return read_handle(record, "data") end,
  daemon = function(record)
    if record.handle then return record.handle.daemon end
    return record.daemon or false
  end,
}

local function check_field(key, value)
  if type(value) ~= option_types[key] then
    error(("%s: %s expected, got %s"):format(key, option_types[key], type(value)), 4)
  end
end

local setters = {
  name = function(record, value)
    check_field("name", value)
    if record.handle then record.handle.name = value else record.name = value end
  end,
  daemon = function(record, value)
    check_field("daemon", value)
    if record.handle then error("daemon can be set before the start only", 3) end
    record.daemon = value
  end,
  id = function() error("the field 'id' cannot be set", 3) end,
  data = function() error("the field 'data' cannot be set", 3) end,
}

local function index(self, key)
  local getter = getters[key]
  if getter then return getter(record_of(self, "index")) end
  return getmetatable(self)[key]
end

local function newindex(self, key, value)
  local setter = setters[key]
  if setter then setter(record_of(self, "newindex"), value) else rawset(self, key, value) end
end

-- Processes have two more.

local function process_index(self, key)
  if key == "pid" or key == "exitcode" then return read_handle(record_of(self, "index"), key) end
  return index(self, key)
end

local function process_newindex(self, key, value)
  if key == "pid" or key == "exitcode" then error(("the field '%s' cannot be set"):format(key), 2) end
  return newindex(self, key, value) -- errors count the levels up to who has called us
end

-- --- methods ---

local function status(self)
  local handle = record_of(self, "status").handle
  return handle and handle:status() or "new"
end

local function is_alive(self)
  local handle = record_of(self, "is_alive").handle
  return handle ~= nil and handle:is_alive()
end

local function get_error(self)
  local handle = record_of(self, "error").handle
  return handle and handle:error()
end

local function get_traceback(self)
  local handle = record_of(self, "traceback").handle
  return handle and handle:traceback()
end

--- What is cancelled before its start ends with it.
local function cancel(self, reason)
  local record = record_of(self, "cancel")
  if record.handle then return record.handle:cancel(reason) end
  if record.cancelled then return false end
  record.cancelled, record.reason = true, reason
  return true
end

local function to_string(self)
  return ("%s: %s (%s)"):format(getmetatable(self).__name, self.name or "unnamed", status(self))
end

--- As a to-be-closed variable it is what its handle is.
local function close(self, err)
  local handle = record_of(self, "close").handle
  local close_handle = handle and getmetatable(handle).__close
  if close_handle then return close_handle(handle, err) end
end

-- --- making ---

local bases = {} -- base -> its name: "neap.Task"

--- Raises where whoever calls init was called.
local function refuse(self, problem)
  local class = getmetatable(self)
  error(("bad argument #1 to '%s' (%s)"):format(bases[class] or class.__name, problem), 4)
end

--- Reads { target =, args =, name =, daemon =, quiet = }.
local function init(self, options)
  local record = record_of(self, "init")
  if options == nil then return end
  if type(options) ~= "table" then
    refuse(self, ("table of options expected, got %s"):format(type(options)))
  end
  for key, value in pairs(options) do
    local expected = option_types[key]
    if not expected then refuse(self, ("unknown option '%s' (known: %s)"):format(tostring(key), option_list)) end
    if type(value) ~= expected then
      refuse(self, ("option '%s': %s expected, got %s"):format(key, expected, type(value)))
    end
  end
  for key, value in pairs(options) do record[key] = value end
end

local made = setmetatable({}, { __mode = "k" }) -- class -> how many objects

--- class(...): an object that has not been started.
local function new(class, ...)
  local record = {}
  if not bases[class] then
    made[class] = (made[class] or 0) + 1
    record.name = ("%s-%d"):format(class.__name, made[class])
  end
  local self = setmetatable({ _record = record }, class)
  self:init(...)
  return self
end

local extended = {} -- place -> how many classes have been made there

--- The name that a class travels by: the same in every thread that runs the same code. A host that has taken
--- debug.getinfo away leaves the name and how many there have been of it.
local function name_of(name, caller)
  local place = caller and ("%s (%s:%d)"):format(name, caller.short_src, caller.currentline) or name .. " (?)"
  extended[place] = (extended[place] or 0) + 1
  if extended[place] == 1 then return place end
  return place .. "#" .. extended[place]
end

local function extend(parent, name)
  if type(name) ~= "string" then
    error(("bad argument #1 to 'extend' (string expected, got %s)"):format(type(name)), 2)
  end
  local class = {
    __name = name,
    __index = parent.__index,
    __newindex = parent.__newindex,
    __tostring = parent.__tostring,
    __close = parent.__close,
  }
  setmetatable(class, { __index = parent, __call = parent._new })
  return neap.register(name_of(name, debug.getinfo and debug.getinfo(2, "Sl")), class)
end

local function make_base(name, kind, start, more)
  local base = {
    __name = kind,
    __index = index,
    __newindex = newindex,
    __tostring = to_string,
    __close = close,
    _new = new,
    _run = internal.run,
    init = init,
    extend = extend,
    start = start,
    join = internal.join,
    wait = internal.wait,
    cancel = cancel,
    status = status,
    is_alive = is_alive,
    error = get_error,
    traceback = get_traceback,
  }
  for key, value in pairs(more) do base[key] = value end
  bases[base] = "neap." .. name
  setmetatable(base, { __call = new })
  neap[name] = neap.register("neap." .. name, base)
end

make_base("Task", "task", internal.start_task, {})
make_base("Thread", "thread", internal.start_thread, {})
make_base("Process", "process", internal.start_process, {
  __index = process_index,
  __newindex = process_newindex,
  terminate = internal.terminate,
  kill = internal.kill,
  rusage = internal.rusage,
})
