-- Standard input as a stream: neap.stdin. There is one in a state, since what it has read ahead is its own.

local neap, internal = ...

local opened

local function open()
  if not io.stdin then return nil, "closed", "closed" end
  local stream, message, code = internal.net.reopen(0)
  if code ~= "EPERM" then return stream, message, code end
  -- a file on a disk, from where it stands
  local file
  file, message, code = neap.fs.open("/dev/stdin")
  local place = file and io.stdin:seek()
  if place then file:seek("set", place) end
  return file, message, code
end

function neap.stdin()
  local message, code
  if not opened then opened, message, code = open() end
  if opened then return opened end
  return nil, message, code
end
