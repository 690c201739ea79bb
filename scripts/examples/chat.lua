-- A chat server: what one says, all others hear. Each guest has a task that listens to them and one that tells them
-- what the others say, through a channel: whoever reads slowly holds nobody up, and is shown the door when too far
-- behind.
--
--   neap chat.lua                        three guests, here
--   neap chat.lua serve [HOST [PORT]]    a server, for `nc HOST PORT`; by default 127.0.0.1, and any free port
--
-- Prints:
--   ann hears: * bob is here
--   ann hears: * cid is here
--   bob hears: * cid is here
--   bob hears: ann: hello
--   cid hears: ann: hello
--   bob hears: * ann is gone
--   cid hears: * ann is gone
local neap = require "neap"

local BACKLOG = 100 -- lines that somebody may be behind

local guests = {} -- name -> channel of lines

local function tell_all(line, except)
  for name, lines in pairs(guests) do
    if name ~= except and not lines:send(line, 0) then lines:close() end
  end
end

--- Asks for a name that nobody else has. Nil: they have left.
local function welcome(stream)
  stream:write("your name? ")
  local name = stream:read("line", 60)
  while name and (name == "" or guests[name]) do
    stream:write("another one? ")
    name = stream:read("line", 60)
  end
  return name
end

--- Writes what is said, until the channel or the connection is closed.
local function write_lines(stream, lines)
  for line in lines:iter() do
    if not stream:write(line .. "\n", 10) then break end
  end
  stream:close()
end

local function receive(connection)
  local stream <close> = connection
  local name = welcome(stream)
  if not name then return end
  local lines = neap.channel(BACKLOG)
  guests[name] = lines
  tell_all(("* %s is here"):format(name), name)
  local teller = neap.spawn(write_lines, stream, lines)
  local line = stream:read("line")
  while line do
    tell_all(name .. ": " .. line, name)
    line = stream:read("line")
  end
  guests[name] = nil
  lines:close()
  tell_all(("* %s is gone"):format(name), name)
  teller:wait()
end

local function serve(listener)
  while true do
    local connection = listener:accept()
    if not connection then return end
    neap.spawn(receive, connection)
  end
end

-- --- guests, for show ---

local function come(listener, name)
  local stream = assert(neap.net.connect(listener:address()))
  stream:read(#"your name? ")
  stream:write(name .. "\n")
  return {name = name, stream = stream}
end

local function hear(guest) print(guest.name .. " hears: " .. guest.stream:read("line")) end

local function show(listener)
  neap.spawn({daemon = true}, serve, listener)
  local ann = come(listener, "ann")
  while not guests.ann do neap.yield() end
  local bob = come(listener, "bob")
  hear(ann)
  local cid = come(listener, "cid")
  hear(ann)
  hear(bob)
  ann.stream:write("hello\n")
  hear(bob)
  hear(cid)
  ann.stream:close()
  hear(bob)
  hear(cid)
  bob.stream:close()
  cid.stream:close()
end

local what, host, port = ...
local listener <close> = assert(neap.net.listen(host or "127.0.0.1", math.tointeger(port or 0)))
if what == "serve" then
  print(("listening on %s port %d"):format(listener:address()))
  serve(listener)
else
  show(listener)
end
