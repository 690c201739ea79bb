-- The writer of a log: a thread that takes lines out of a channel and writes them; see log.lua.
--
-- What is there is written in one go, without waiting for more. A file that cannot be written is complained of once,
-- on stderr; lines are lost until it can be again, and then it says how many. When the program ends the thread is
-- cancelled: it closes the channel, so that nothing comes any more, writes what is in it, and ends.

local neap, internal = ...

local format = internal.load("neap.log_format")

local BATCH = 256 -- lines

local function complain(text, ...) internal.report("neap.log: " .. text:format(...)) end

-- --- stderr ---

local stderr_output = {}
stderr_output.__index = stderr_output

function stderr_output:write(lines)
  local text = table.concat(lines)
  if io.stderr then io.stderr:write(text) else internal.report((text:gsub("\n$", ""))) end
end

function stderr_output.close() end

-- --- a file ---

local file_output = {}
file_output.__index = file_output

local function today() return os.date("%Y-%m-%d") end

--- Opens the file: at its end, as it was left by whoever has written it before. An unfinished line is ended.
function file_output:open()
  local file, message = io.open(self.path, "a+b")
  if not file then return self:fail(message) end
  internal.stdio.keep(file)
  file:setvbuf("no") -- a line that is not written is not written later, in pieces
  self.size = file:seek("end") or 0
  if self.size > 0 and file:seek("end", -1) and file:read(1) ~= "\n" then file:write("\n") end
  local stat = self.size > 0 and neap.fs.stat(self.path)
  self.day = stat and os.date("%Y-%m-%d", math.floor(stat.modified)) or today()
  self.file = file
end

function file_output:close()
  if self.file then self.file:close() end
  self.file = nil
end

--- Tells of what has gone wrong, once.
function file_output:fail(message)
  if not self.failing then complain("%s; lines are lost until it can be written", message) end
  self.failing = true
end

--- The file becomes PATH.1, what was that PATH.2, and so on; the last one goes.
function file_output:rotate()
  self:close()
  os.remove(("%s.%d"):format(self.path, self.keep))
  for number = self.keep - 1, 1, -1 do
    os.rename(("%s.%d"):format(self.path, number), ("%s.%d"):format(self.path, number + 1))
  end
  local moved, message
  if self.keep > 0 then
    moved, message = os.rename(self.path, self.path .. ".1")
  else
    moved, message = os.remove(self.path)
  end
  if not moved and not self.stuck then complain("%s: cannot rotate it: %s", self.path, message) end
  self.stuck = not moved
  self:open()
  if not moved then self.size, self.day = 0, today() end -- tries again when it is due again
end

--- Is it time for another file before `more` bytes, where `waiting` bytes are still to go to this one?
function file_output:is_due(waiting, more)
  local size = self.size + waiting
  if not self.file or size == 0 then return false end
  return (self.max_size and size + more > self.max_size) or (self.daily and self.day ~= today())
end

--- After a failure: what is missing is told.
function file_output:resume()
  local notice = ("%d lines could not be written"):format(self.lost)
  self.lost, self.failing = 0, false
  self:put(format.item({ file = { format = self.format } }, "warn", notice), 1)
end

function file_output:put(text, count)
  if not self.file then self:open() end
  local written, message
  if self.file then written, message = self.file:write(text) end
  if not written then
    self.lost = self.lost + count
    self:fail(("%s: %s"):format(self.path, message))
    self:close() -- and opened again for the next: perhaps it is another one by then
    return
  end
  self.size = self.size + #text
  if self.failing then self:resume() end
end

function file_output:write(lines)
  local first, bytes = 1, 0
  for at, line in ipairs(lines) do
    if self:is_due(bytes, #line) then
      if at > first then self:put(table.concat(lines, "", first, at - 1), at - first) end
      self:rotate()
      first, bytes = at, 0
    end
    bytes = bytes + #line
  end
  self:put(table.concat(lines, "", first), #lines - first + 1)
end

local function new_file(file, rotates)
  local output = setmetatable({
    path = file.path, format = file.format, max_size = rotates and file.size, daily = rotates and file.daily,
    keep = file.keep, size = 0, lost = 0, failing = false, stuck = false,
  }, file_output)
  output:open()
  return output
end

-- --- the parent's log ---

local parent_output = {}
parent_output.__index = parent_output

--- False: nobody is there to take it.
function parent_output:pass(item)
  if self.lines:send(item) then return true end
  self.lines = internal.inherited().log.lines -- it was configured anew, or is ending
  return self.lines:send(item)
end

--- All in one, for each takes a round trip. What nobody takes goes to stderr, which the parent hands on.
function parent_output:write(items)
  if self:pass({ items = items }) then return end
  for _, item in ipairs(items) do stderr_output:write({ type(item) == "table" and item[1] or item }) end
end

-- --- the writer ---

local writer = {}
writer.__index = writer

--- Writes items: lines, or pairs of them.
function writer:write(items)
  if self.parent then return self.parent:write(items) end
  for number, output in pairs(self.outputs) do
    local lines = {}
    for at, item in ipairs(items) do lines[at] = type(item) == "table" and item[number] or item end
    output:write(lines)
  end
end

--- What the channel has no room for is told of.
function writer:tell_dropped()
  local dropped = self.sink.dropped:get()
  if dropped <= self.told or self.parent then return end
  local notice = ("%d lines were dropped: they came faster than they could be written"):format(dropped - self.told)
  self.told = dropped
  self:write({ format.item(self.sink, "warn", notice) })
end

--- Puts what came through the channel where it belongs.
local function sort(item, items, flushes)
  local is_table = type(item) == "table"
  if is_table and item.flushed then
    flushes[#flushes + 1] = item.flushed
  elseif is_table and item.items then
    table.move(item.items, 1, #item.items, #items + 1, items)
  else
    items[#items + 1] = item
  end
end

--- Writes `item` and what there is besides.
function writer:take(item)
  local lines, items, flushes = self.sink.lines, {}, {}
  repeat
    sort(item, items, flushes)
    item = #items < BATCH and lines:recv(0) or nil
  until item == nil
  if items[1] then self:write(items) end
  self:tell_dropped()
  for _, event in ipairs(flushes) do
    if not (self.parent and self.parent:pass({ flushed = event })) then event:set() end
  end
end

function writer:close()
  for _, output in pairs(self.outputs) do output:close() end
end

--- `rotates`: nobody else writes its file.
local function open(sink, rotates)
  local self = setmetatable({ sink = sink, told = sink.dropped:get(), outputs = {} }, writer)
  if sink.parent then
    self.parent = setmetatable({ lines = sink.parent }, parent_output)
    return self
  end
  if sink.stderr then self.outputs[1] = setmetatable({}, stderr_output) end
  if sink.file then self.outputs[2] = new_file(sink.file, rotates) end
  return self
end

--- Until the channel is closed and nothing is left in it.
local function work(self)
  local lines = self.sink.lines
  for item in lines:iter() do neap.shield(self.take, self, item) end -- what was taken out is written
end

local function finish(self)
  self.sink.lines:close()
  work(self)
  self:close()
end

local function run(sink, begun)
  local self = open(sink, true)
  begun:set()
  local ended, err = pcall(work, self)
  neap.shield(finish, self)
  if not ended and not neap.is_cancelled(err) then error(err, 0) end
end

return { open = open, run = run, stderr = stderr_output }
