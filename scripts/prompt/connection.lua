-- Frames over a socket between a prompt and the program that it is attached to: a kind and a text.
--
-- To the program:  line TEXT, complete TEXT BEFORE THE CURSOR, interrupt, discard, look COLUMNS and whether in colour
-- To the prompt:   welcome TEXT, out TEXT, error TEXT, state ready | more | quit, words START and WORDS

local neap = ...

local text_at_most = 1 << 24 -- bytes of a text
local piece = 1 << 15 -- bytes that are sent at a time
local frames_at_most = 200 -- that wait to be sent before who sends waits

local Connection = {}
Connection.__index = Connection

--- Sends bytes, waiting for room as often as it takes; false when the other side has gone.
local function send_bytes(self, bytes)
  while bytes ~= "" do
    local sent = self.socket:send(bytes)
    if not sent then return false end
    if sent == 0 then
      self.writable:clear()
      self.poll:start_writing()
      self.writable:wait()
    end
    bytes = bytes:sub(sent + 1)
  end
  return true
end

--- Nobody waits for room any more, nor sends.
local function stop_sending(self)
  self.frames:close()
  self.room:set()
end

--- The body of the task that writes: until the queue of frames is closed and empty, or the other side has gone.
local function write_frames(self)
  local _ <close> = setmetatable({}, { __close = function() stop_sending(self) end })
  for frame in self.frames:iter() do
    local frames, length = { frame }, #frame
    while length < piece do
      frame = self.frames:get_nowait()
      if not frame then break end
      frames[#frames + 1], length = frame, length + #frame
    end
    if self.frames:qsize() <= frames_at_most // 2 then self.room:set() end
    if not send_bytes(self, table.concat(frames)) then break end
  end
end

--- Sends a frame. It waits while many are on their way, where it can; false when the other side has gone.
function Connection:send(kind, text)
  if not self.frames:put_nowait(string.pack("<s4s4", kind, text or "")) then return false end
  if self.frames:qsize() <= frames_at_most then return true end
  self.room:clear()
  if self.frames:qsize() > frames_at_most then
    local done, err = pcall(self.room.wait, self.room) -- in a comparator, say, it cannot
    if not done and neap.is_cancelled(err) then error(err, 0) end
  end
  return true
end

--- Sends no more, and waits until all is sent.
function Connection:drain()
  self.frames:close()
  self.writer:wait()
end

local function unpack_frame(buffer)
  if #buffer < 4 then return nil end
  local kind_length = string.unpack("<I4", buffer)
  if kind_length > text_at_most then return false end
  if #buffer < 8 + kind_length then return nil end
  local text_length = string.unpack("<I4", buffer, 5 + kind_length)
  if text_length > text_at_most then return false end
  if #buffer < 8 + kind_length + text_length then return nil end
  return string.unpack("<s4s4", buffer)
end

--- Waits for a frame: kind, text; nil when the other side has gone, or does not speak this language.
function Connection:receive()
  while true do
    local kind, text, after = unpack_frame(self.buffer)
    if kind then
      self.buffer = self.buffer:sub(after)
      return kind, text
    end
    local bytes = kind ~= false and self.socket:receive()
    if bytes == false then return nil end
    if bytes then
      self.buffer = self.buffer .. bytes
    else
      self.readable:clear()
      self.poll:start()
      self.readable:wait()
    end
  end
end

function Connection:__close()
  self.writer:cancel()
  self.writer:wait()
  self.poll:close()
  self.socket:close()
end

--- A to-be-closed value.
return function(console, socket)
  local self = setmetatable({ socket = socket, buffer = "" }, Connection)
  self.readable, self.writable, self.room = neap.event(), neap.event(), neap.event()
  self.frames = neap.queue()
  self.poll = console.poll(socket:descriptor(), self.readable, self.writable)
  self.writer = neap.spawn({ name = "attached writer", daemon = true, quiet = true }, write_frames, self)
  return self
end
