-- The program's side of `neap --attach`: listens, and gives each one who comes a session.
--
-- What is typed there runs in the main thread, among the program's globals. Its print and io.write go to the one who
-- typed it. Nothing here keeps the program alive.

local neap, internal = ...

local new_session = internal.load "neap.prompt.session"
local new_connection = internal.load "neap.prompt.connection"

--- Globals that are the program's, except for what prints.
local function make_env(connection)
  local output = setmetatable({}, { __index = io })
  function output.write(...)
    connection:send("out", table.concat({ ... }))
    return io.stdout
  end
  local own = { io = output }
  function own.print(...)
    local texts = table.pack(...)
    for i = 1, texts.n do texts[i] = tostring(texts[i]) end
    connection:send("out", table.concat(texts, "\t") .. "\n")
  end
  return setmetatable({}, {
    __index = function(_, name)
      local value = own[name]
      if value == nil then value = _G[name] end
      if value == nil and name == "neap" then return neap end
      return value
    end,
    __newindex = function(_, name, value)
      if own[name] ~= nil then own[name] = value else _G[name] = value end
    end,
  })
end

local function make_front(connection)
  local front = { colour = false, env = make_env(connection), daemon = true }
  local columns = 80
  function front.write(text) connection:send("out", text) end
  function front.write_error(text) connection:send("error", text) end
  function front.width() return columns end
  function front.await(task)
    front.running = task
    task:wait()
    front.running = nil
  end
  function front.look(text)
    local width, colour = string.unpack("<I2B", text)
    columns, front.colour = width, colour == 1
  end
  return front
end

--- Hands frames on in order; an interrupt, and the end, stop what runs.
local function read_frames(connection, front, inbox)
  while true do
    local kind, text = connection:receive()
    if kind ~= "interrupt" and kind then
      inbox:put { kind, text }
    elseif front.running then
      front.running:cancel(kind or "detached")
    end
    if not kind then return inbox:close() end
  end
end

local answers = {}

function answers.line(session, connection, text)
  local state = session:feed(text)
  connection:send("state", state)
  return state == "quit"
end

function answers.complete(session, connection, text)
  local start, words = session:complete(text)
  connection:send("words", string.pack("<I4", start) .. table.concat(words, " "))
end

function answers.discard(session) session:discard() end

function answers.look(session, _, text) session.front.look(text) end

local function serve(stream)
  local connection <close> = new_connection(stream)
  local front, inbox = make_front(connection), neap.queue()
  local session = new_session(front)
  local options = { name = "attached reader", daemon = true, quiet = true }
  local reader = neap.spawn(options, read_frames, connection, front, inbox)
  local _ <close> = setmetatable({}, { __close = function()
    reader:cancel()
    reader:wait()
  end })
  connection:send("welcome", ("neap %s, process %d"):format(neap.version, neap.getpid()))
  for frame in inbox:iter() do
    local answer = answers[frame[1]]
    if not answer or answer(session, connection, frame[2]) then break end
  end
  connection:drain()
end

--- Starts listening.
return function()
  local console = internal.console()
  local place = console.own_place()
  if not place then error("cannot be attachable: there is no folder that only the user can look into", 0) end
  local listening, message = neap.net.listen("unix:" .. place)
  if not listening then error("cannot be attachable: " .. message, 0) end
  neap.spawn({ name = "attachable", daemon = true, quiet = true }, function()
    local listener <close> = listening
    for stream in listener:iter() do
      if console.is_own(stream) then
        neap.spawn({ name = "attached", daemon = true, quiet = true }, serve, stream)
      else
        stream:close()
      end
    end
  end)
end
