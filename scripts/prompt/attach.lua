-- The user's side of `neap --attach PID`: a console here, its session in that program.

local neap, internal = ...

local open_console = internal.load "neap.prompt.console"
local converse = internal.load "neap.prompt.converse"
local new_connection = internal.load "neap.prompt.connection"

local Remote = {}
Remote.__index = Remote

--- Shows what comes from the program, as it comes, and keeps the answers for who waits for them.
local function read_frames(self)
  while true do
    local kind, text = self.connection:receive()
    if kind == "out" then
      io.stdout:write(text)
      io.stdout:flush()
    elseif kind == "error" then
      io.stderr:write(text)
    elseif kind then
      self.replies:put { kind, text }
    else
      self.replies:close()
      return self.ended:set()
    end
  end
end

--- Waits for an answer of this kind, while interrupts are handed on; nil when the program has gone.
function Remote:await(kind)
  while true do
    local reply = self.console:await(self.replies, function() self.connection:send("interrupt") end)
    if not reply then return nil end
    if reply[1] == kind then return reply[2] end
  end
end

function Remote:feed(line)
  local columns = math.min(self.console:width(), 0xFFFF)
  self.connection:send("look", string.pack("<I2B", columns, self.console:has_colour() and 1 or 0))
  self.connection:send("line", line)
  self.state = self:await("state") or "quit"
  return self.state
end

function Remote:complete(before)
  self.connection:send("complete", before)
  local text = self:await("words")
  if not text then return #before + 1, {} end
  local words = {}
  for word in text:sub(5):gmatch("%S+") do words[#words + 1] = word end
  return string.unpack("<I4", text), words
end

function Remote:discard()
  local began = self.state == "more"
  self.state = "ready"
  self.connection:send("discard")
  return began
end

function Remote:finish() end

local function give_up(pid, reason)
  io.stderr:write(("neap: cannot attach to %d: %s\n"):format(pid, reason))
  os.exit(1)
end

--- A stream to the program, wherever it listens.
local function connect(pid)
  local console = internal.console()
  for _, place in ipairs(console.find_places(pid)) do
    local stream = neap.net.connect("unix:" .. place)
    if stream and console.is_own(stream) then return stream end
    if stream then stream:close() end
  end
  give_up(pid, "there is no such program, or it was not started with --attachable")
end

--- The main chunk of `neap --attach PID`.
return function(pid)
  local stream = connect(pid)
  local ended = neap.event()
  local console <close> = open_console(ended)
  local connection <close> = new_connection(stream)
  local remote = setmetatable({ console = console, connection = connection, ended = ended, replies = neap.queue() },
    Remote)
  local reader = neap.spawn({ name = "reader", daemon = true, quiet = true }, read_frames, remote)
  local _ <close> = setmetatable({}, { __close = function() reader:cancel() end })
  local welcome = remote:await("welcome")
  if not welcome then give_up(pid, "it has closed the connection") end
  console:say(("attached to %s. :help for help, Ctrl-D to leave it.\n"):format(welcome))
  converse(console, remote)
  if ended:is_set() then io.stderr:write("the program has ended\n") end
  if console.typed then os.exit(0) end
end
