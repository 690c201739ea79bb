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

--- Nobody waits for room any more, nor sends.
local function stop_sending(self)
  self.frames:close()
  self.room:set()
end

--- The body of the task that writes: until the queue of frames is closed and empty, or the other side has gone. It is a
-- task of its own so that no frame is cut where what runs is interrupted.
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
    if not self.stream:write(table.concat(frames)) then break end
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

local function read_text(self)
  local head = self.stream:read(4)
  local length = head and #head == 4 and string.unpack("<I4", head)
  if not length or length > text_at_most then return nil end
  if length == 0 then return "" end
  local text = self.stream:read(length)
  return text and #text == length and text or nil
end

--- Waits for a frame: kind, text; nil when the other side has gone, or does not speak this language.
function Connection:receive()
  local kind = read_text(self)
  local text = kind and read_text(self)
  if text then return kind, text end
end

function Connection:__close()
  self.writer:cancel()
  self.writer:wait()
  self.stream:close()
end

--- Of a stream; a to-be-closed value.
return function(stream)
  local self = setmetatable({ stream = stream, room = neap.event(), frames = neap.queue() }, Connection)
  self.writer = neap.spawn({ name = "attached writer", daemon = true, quiet = true }, write_frames, self)
  return self
end
