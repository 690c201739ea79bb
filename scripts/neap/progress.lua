-- Progress: neap.progress.
--
-- A bar is a handle that can be sent anywhere: how much is done, and of how much, stands in shared memory, and
-- advancing is an atomic addition. What is seen of it is the work of a thread of the process that has made the bar, the
-- painter (progress_painter.lua). All states of a process find it in the commons: "painter", { inbox =, thread = }.

local neap, internal = ...

local check = internal.load("neap.check")

local Bar = {}
local class = { __name = "progress", __index = Bar }
neap.progress = class

local DONE, TOTAL = 1, 2 -- of a bar's counts; a total of UNKNOWN is not known
local UNKNOWN = -1

-- --- the painter ---

--- Starts one. It has begun when this returns: a thread that is cancelled before would never run.
local function start_painter()
  local inbox, begun = neap.queue(), neap.event()
  local started, thread = pcall(neap.thread, { name = "neap.progress", daemon = true }, class._paint, inbox, begun)
  if not started then
    inbox:close()
    return { inbox = inbox }
  end
  neap.select({ begun, thread })
  return { inbox = inbox, thread = thread }
end

local painter -- as this state knows it

local function find_painter()
  local commons = internal.commons()
  painter = painter or commons.painter or
    neap.shield(commons.update, commons, "painter", function(there) return there or start_painter() end)
  return painter
end

--- The body of its thread.
function class._paint(inbox, begun) internal.load("neap.progress_painter").run(inbox, begun) end

-- --- advancing ---

local function check_amount(value, name)
  if math.type(value) ~= "integer" then check.refuse(1, name, "whole number expected, got " .. type(value)) end
  return value
end

local add_of_arrays -- to look it up each time takes longer than the addition

local function advance(counts, count)
  add_of_arrays = add_of_arrays or counts.add
  return add_of_arrays(counts, DONE, count)
end

function Bar:add(count) return advance(self.counts, count == nil and 1 or check_amount(count, "add")) end

function Bar:set(count) self.counts[DONE] = check_amount(count, "set") end

function Bar:set_total(total) self.counts[TOTAL] = total == nil and UNKNOWN or check_amount(total, "set_total") end

function Bar:set_label(text) self.inbox:put({ "label", counts = self.counts, label = tostring(text) }) end

-- --- closing ---

local walks = setmetatable({}, { __mode = "k" }) -- what a bar's loop goes through, by bar

--- What is printed from here on comes after the bar.
local function leave(bar)
  local done = neap.event()
  if bar.inbox:put({ "close", counts = bar.counts, done = done }) then neap.select({ done, bar.thread }) end
end

--- Closes what the loop went through as well: an iterator may have something to be closed.
function Bar:close()
  local walk = walks[self]
  local closing <close> = walk and walk.closing -- luacheck: ignore
  walks[self] = nil
  neap.shield(leave, self)
end

function class:__close() self:close() end

function class:__tostring()
  local done, total = self.counts[DONE], self.counts[TOTAL]
  return ("progress: %s (%d/%s)"):format(self.label or "unnamed", done, total == UNKNOWN and "?" or total)
end

-- --- walking ---

local function count_to(total, at)
  if at < total then return at + 1 end
end

local function walk_list(list)
  local at = 0
  return function()
    at = at + 1
    if at <= #list then return list[at], at end
  end
end

local has_iter = { channel = true, queue = true }

--- How many items a source has, if that is known; then what it is walked through with: iterator, state, ...
local function walk_through(source, state, control, closing)
  local kind = type(source)
  if kind == "number" then return source, count_to, source, 0 end
  if kind == "function" then return nil, source, state, control, closing end
  local name = (getmetatable(source) or {}).__name
  if kind == "userdata" and has_iter[name] then return nil, source:iter() end
  if kind == "table" or kind == "userdata" and (name == "list" or name == "array") then
    return #source, walk_list(source)
  end
  check.refuse(1, "progress", "a number, list, iterator, channel or queue expected, got " .. (name or kind))
end

local function pass(bar, walk, item, ...)
  walk.control, walk.begun = item, true
  if item == nil then bar:close() end
  return item, ...
end

--- The next item. The one before is done when this one is asked for.
function class:__call()
  local walk = walks[self]
  if not walk then return nil end
  if walk.begun then advance(self.counts, 1) end
  walk.begun = false -- where it is to be waited for, and that is cancelled, this one counts already
  return pass(self, walk, walk.iterator(walk.state, walk.control))
end

-- --- making ---

local options_known = {
  total = function(value) return math.type(value) == "integer" and value >= 0 or "a whole number, 0 or more" end,
  label = check.string, unit = check.string, keep = check.boolean,
}

--- What follows an iterator is a table of options, or what its maker has returned besides.
local function open(_, source, options, control, closing)
  local state
  if type(source) == "function" and (type(options) ~= "table" or source == next) then state, options = options, nil end
  options = check.options(options, options_known, 2, "progress")
  if type(source) == "number" and (math.type(source) ~= "integer" or source < 0) then
    check.refuse(1, "progress", "a total is a whole number, 0 or more")
  end
  local walk, total = { begun = false }, nil
  if source ~= nil then
    total, walk.iterator, walk.state, walk.control, walk.closing = walk_through(source, state, control, closing)
  end
  local inbox, thread = find_painter().inbox, painter.thread
  local counts = neap.array("i64", { 0, options.total or total or UNKNOWN })
  local bar = setmetatable({ counts = counts, label = options.label, inbox = inbox, thread = thread }, class)
  walks[bar] = walk.iterator and walk or nil
  inbox:put({ "open", counts = counts, label = options.label, unit = options.unit, keep = options.keep ~= false })
  return bar, nil, nil, bar
end

neap.register("neap.progress", setmetatable(class, { __call = open }))

return true
