-- LuaSocket in tasks.
--
-- The methods of its sockets are replaced in the tables of its classes, so all that stands on them waits as tasks do,
-- and sockets that are there already do, too. A socket is made non-blocking by its own `settimeout`, and tried; when it
-- says "timeout" the task waits until its descriptor is ready, for as long as the script has set, and tries again. So
-- what a call returns is what LuaSocket returns. Where no task can wait the socket gets its own timeouts back, and the
-- original is called.

local neap, internal = ...

local check = internal.load("neap.check")
local patch = internal.patch
local can_wait, poll, wait_for = patch.can_wait, patch.poll, patch.wait

local READ, WRITE = 1, 2

--- By socket: { block =, total = } as settimeout was asked for; `armed`: it is non-blocking now; fd, and the polls of
-- it by direction, made when they are needed; `kept`: bytes that a receive had taken when it was cancelled.
local states = setmetatable({}, { __mode = "k" })

local classes = {
  "tcp{master}", "tcp{client}", "tcp{server}", "udp{connected}", "udp{unconnected}", "unixstream{master}",
  "unixstream{client}", "unixstream{server}", "unixdgram{connected}", "unixdgram{unconnected}", "SSL:Connection",
}

--- What a socket says that would have had to wait; LuaSec says for what.
local directions = { wantread = READ, wantwrite = WRITE }

local function would_block(problem) return problem == "timeout" or directions[problem] ~= nil end

-- --- timeouts ---

local function state_of(original, sock)
  local state = states[sock]
  if state then return state end
  local block, total = -1, -1
  if original.gettimeout then block, total = original.gettimeout(sock) end
  state = { block = block, total = total }
  states[sock] = state
  return state
end

--- The socket blocks no more.
local function arm(original, sock)
  local state = state_of(original, sock)
  if not state.armed then
    original.settimeout(sock, 0, "b")
    original.settimeout(sock, -1, "t")
    state.armed = true
  end
  return state
end

--- The socket is as LuaSocket knows it.
local function disarm(original, sock)
  local state = states[sock]
  if not state or not state.armed then return end
  state.armed = false
  original.settimeout(sock, state.block, "b")
  original.settimeout(sock, state.total, "t")
end

--- Seconds that a wait may last; nil: any.
local function remaining(state, started)
  local block, total = state.block, state.total
  if total < 0 then return block >= 0 and block or nil end
  local left = math.max(0, total - (neap.now() - started))
  return block >= 0 and math.min(block, left) or left
end

-- --- waiting ---

local function close_polls(state)
  for direction = READ, WRITE do
    if state[direction] then patch.close(state[direction]) end
    state[direction] = nil
  end
end

--- Waits until the socket is ready, which has said `problem`: true when it is worth trying again; or nil, and why not.
local function wait(original, sock, state, direction, started, problem)
  local timeout = remaining(state, started)
  if timeout == 0 then return nil, problem end
  direction = directions[problem] or direction
  local fd = math.tointeger(original.getfd(sock))
  if state.fd ~= fd then
    close_polls(state)
    state.fd = fd
  end
  if not state[direction] then
    local made, message = poll(fd, direction)
    if not made and fd >= 0 then return nil, message end
    if not made then return true end -- closed meanwhile: the original says so
    state[direction] = made
  end
  local ready, why = wait_for(state[direction], timeout)
  if ready or why == "closed" then return true end
  return nil, problem
end

--- Calls until it would not have to wait, or the time is over.
local function persist(original, name, direction, sock, ...)
  local state, call, started = arm(original, sock), original[name], neap.now()
  while true do
    local results = table.pack(call(sock, ...))
    if results[1] or not would_block(results[2]) then return table.unpack(results, 1, results.n) end
    local ready, problem = wait(original, sock, state, direction, started, results[2])
    if not ready then return results[1], problem, table.unpack(results, 3, results.n) end
  end
end

-- --- names ---

local UNKNOWN_NAME = "host or service not provided, or not known"

local resolver_errors = {
  EAI_NONAME = UNKNOWN_NAME, EINVAL = UNKNOWN_NAME, -- libuv's, of what can be no name
  EAI_NODATA = "No address associated with hostname", EAI_AGAIN = "temporary failure in name resolution",
  EAI_FAIL = "non-recoverable failure in name resolution", timeout = "timeout",
}

local function is_numeric(host) return host:find("^%d+%.%d+%.%d+%.%d+$") or host:find(":", 1, true) or host == "*" end

--- Numeric addresses, or nil and what LuaSocket would say.
local function resolve(host, timeout)
  if is_numeric(host) then return { host } end
  local addresses, message, code = neap.dns.resolve(host, { timeout = timeout })
  if addresses then return addresses end
  return nil, resolver_errors[code] or message
end

-- --- methods ---

local methods = {} -- by name: (original methods) -> what takes the place of that one

function methods.settimeout(original)
  return function(sock, value, mode)
    disarm(original, sock)
    local result = original.settimeout(sock, value, mode)
    local state = state_of(original, sock)
    value, mode = value or -1, mode or "b"
    state[mode:sub(1, 1) == "b" and "block" or "total"] = value
    return result
  end
end

function methods.gettimeout(original)
  return function(sock)
    disarm(original, sock)
    return original.gettimeout(sock)
  end
end

function methods.close(original)
  return function(sock)
    local state = states[sock]
    local results = table.pack(original.close(sock))
    if state then close_polls(state) end
    states[sock] = nil
    return table.unpack(results, 1, results.n)
  end
end

--- A method that is just called again.
local function repeated(name, direction)
  return function(original)
    return function(sock, ...)
      if not can_wait() then
        disarm(original, sock)
        return original[name](sock, ...)
      end
      return persist(original, name, direction, sock, ...)
    end
  end
end

methods.accept = repeated("accept", READ)
methods.receivefrom = repeated("receivefrom", READ)
methods.sendto = repeated("sendto", WRITE)
methods.dohandshake = repeated("dohandshake", READ)

--- Was all asked for, and is what has come, so many bytes, all there was?
local function is_all(pattern, problem, size, prefixed)
  return problem == "closed" and size > prefixed and tostring(pattern):sub(1, 2) == "*a"
end

--- Leaves what has come to the next one when this one is cancelled.
local Taking = { __close = function(taking, problem)
  if problem ~= nil then taking.state.kept = table.concat(taking.parts):sub(taking.prefixed + 1) end
end }

local function is_line(pattern) return tostring(pattern):sub(1, 2) == "*l" end

--- What the bytes that are kept and the prefix are enough for; nil: for nothing.
local function take_kept(state, pattern, prefix)
  local kept, count = state.kept, tonumber(pattern)
  local size, rest
  if count then
    size = math.max(0, count - #prefix)
    rest = size + 1
  elseif is_line(pattern) then
    size = (kept:find("\n", 1, true) or #kept + 2) - 1
    rest = size + 2
  end
  if not size or size > #kept then return nil end
  state.kept = rest <= #kept and kept:sub(rest) or nil
  local taken = kept:sub(1, size)
  if not count then taken = taken:gsub("\r", "") end
  return prefix .. taken
end

--- Of streams and packets. What a stream has given before the time is over is kept, and only the rest is asked for.
function methods.receive(original)
  local receive = original.receive

  --- Three results, as the original has. `prefixed`: so many of the bytes of `first` did not come from the socket.
  local function go_on(sock, state, started, pattern, problem, first, prefixed)
    local count, parts, size = tonumber(pattern), { first }, #first
    local taking <close> = setmetatable({ state = state, parts = parts, prefixed = prefixed }, Taking) -- luacheck: ignore
    while true do
      local ready, why = wait(original, sock, state, READ, started, problem)
      if not ready then return nil, why, table.concat(parts) end
      local whole, part
      whole, problem, part = receive(sock, count and count - size or pattern)
      parts[#parts + 1] = whole or part
      size = size + #parts[#parts]
      if whole then return table.concat(parts), nil, nil end
      if is_all(pattern, problem, size, prefixed) then return table.concat(parts), nil, nil end
      if not would_block(problem) then return nil, problem, table.concat(parts) end
    end
  end

  return function(sock, pattern, prefix, ...)
    local known, prefixed = states[sock], #tostring(prefix or "")
    if known and known.kept then
      pattern, prefix = pattern or "*l", tostring(prefix or "")
      local taken = take_kept(known, pattern, prefix)
      if taken then return taken, nil, nil end
      local kept = is_line(pattern) and known.kept:gsub("\r", "") or known.kept
      prefix, known.kept = prefix .. kept, nil
    end
    if not can_wait() then
      disarm(original, sock)
      return receive(sock, pattern, prefix, ...)
    end
    if original.receivefrom then return persist(original, "receive", READ, sock, pattern) end
    local state, started = arm(original, sock), neap.now()
    local whole, problem, part = receive(sock, pattern, prefix, ...)
    if is_all(pattern, problem, #(part or ""), prefixed) then return part, nil, nil end
    if whole or not would_block(problem) then return whole, problem, part end
    return go_on(sock, state, started, pattern or "*l", problem, part, prefixed)
  end
end

--- A stream says how far it has come; the rest is sent when there is room.
function methods.send(original)
  local send = original.send
  return function(sock, data, first, last, ...)
    if not can_wait() then
      disarm(original, sock)
      return send(sock, data, first, last, ...)
    end
    if original.receivefrom then return persist(original, "send", WRITE, sock, data) end
    local state, started = arm(original, sock), neap.now()
    while true do
      local sent, problem, reached = send(sock, data, first, last, ...)
      if sent or not would_block(problem) then return sent, problem, reached end
      local ready, obstacle = wait(original, sock, state, WRITE, started, problem)
      if not ready then return nil, obstacle, reached end
      first = reached + 1
    end
  end
end

--- One address: as the original, which cannot be waited for itself.
local function connect_to(original, sock, state, started, ...)
  local connected, problem = original.connect(sock, ...)
  if connected or problem ~= "timeout" then return connected, problem end
  local ready
  ready, problem = wait(original, sock, state, WRITE, started, problem)
  if ready then problem = original.getoption(sock, "error") end
  if problem then return nil, problem end
  return 1.0
end

--- After it had to wait for one address in vain, a socket cannot try one of the other family. LuaSocket tries them all
--- in one call: that may be left to it for the names of this machine, which answers at once.
local function is_localhost(host) return ("." .. host:lower()):find("%.localhost%.?$") end

local AT_ONCE = 0.05 -- seconds: longer only where a listener is behind

function methods.connect(original)
  return function(sock, host, ...)
    if not can_wait() or type(host) ~= "string" then
      disarm(original, sock)
      return original.connect(sock, host, ...)
    end
    local state, started = arm(original, sock), neap.now()
    if not original.getfamily then return connect_to(original, sock, state, started, host, ...) end -- of a path
    local addresses, problem = resolve(host, remaining(state, started))
    if not addresses then return nil, problem end
    local connected
    if addresses[2] and is_localhost(host) then
      original.settimeout(sock, AT_ONCE)
      connected, problem = connect_to(original, sock, state, started, host, ...)
      original.settimeout(sock, 0)
      if connected then return connected end
      if problem ~= UNKNOWN_NAME then return nil, problem end
    end
    local first
    for _, address in ipairs(addresses) do
      connected, problem = connect_to(original, sock, state, started, address, ...)
      if connected then return connected end
      first = first or problem
      if problem == "timeout" then break end
    end
    return nil, first
  end
end

--- What takes a name and does not wait otherwise: the first address will do.
local function named(name)
  return function(original)
    return function(sock, host, ...)
      local is_name = original.getfamily and type(host) == "string"
      if not is_name or not can_wait() then return original[name](sock, host, ...) end
      local addresses, problem = resolve(host)
      if not addresses then return nil, problem end
      return original[name](sock, addresses[1], ...)
    end
  end
end

methods.bind, methods.setsockname, methods.setpeername = named("bind"), named("setsockname"), named("setpeername")

local patched = {} -- classes, by name

local function patch_class(name)
  local class = patch.methods_of(name)
  if not class or patched[name] then return end
  patched[name] = true
  local original = {}
  for key, value in pairs(class) do
    original[key] = type(value) == "function" and check.passing(key, value) or value
  end
  for key, make in pairs(methods) do
    if original[key] then class[key] = make(original) end
  end
end

-- --- functions ---

--- The descriptors of a list of sockets, as LuaSocket finds them.
local function add_interests(interests, sockets, op)
  for _, sock in ipairs(sockets or {}) do
    local fd = math.tointeger(sock:getfd())
    if fd and fd >= 0 then interests[fd] = (interests[fd] or 0) | op end
  end
end

local function patch_select(socket)
  local select = socket.select

  local function await(receivers, senders, timeout)
    local interests = {}
    add_interests(interests, receivers, READ)
    add_interests(interests, senders, WRITE)
    local made, _, code = patch.poll_many(interests)
    if not made then error(("select: a descriptor cannot be waited for (%s)"):format(code), 3) end
    local ready = wait_for(made, timeout)
    patch.close(made)
    return ready
  end

  function socket.select(receivers, senders, timeout)
    if not can_wait() or timeout ~= nil and type(timeout) ~= "number" then
      return check.pass("select", select, receivers, senders, timeout)
    end
    local deadline = timeout and timeout >= 0 and neap.now() + timeout
    while true do
      local readable, writable, problem = check.pass("select", select, receivers, senders, 0)
      if problem ~= "timeout" then return readable, writable, problem end
      local left = deadline and math.max(0, deadline - neap.now())
      if left == 0 or not await(receivers, senders, left or nil) then return readable, writable, problem end
    end
  end
end

local function patch_sleep(socket)
  local sleep = socket.sleep
  function socket.sleep(seconds)
    if type(seconds) ~= "number" or seconds ~= seconds or not can_wait() then
      return check.pass("sleep", sleep, seconds)
    end
    neap.sleep(math.max(0, seconds))
  end
end

--- In a helper thread: the library's own answer.
local function look_up(path, name, ...)
  package.cpath = path
  return require("socket.core").dns[name](...)
end

local function patch_names(dns)
  for _, name in ipairs { "toip", "tohostname", "getaddrinfo", "getnameinfo" } do
    local original = dns[name]
    dns[name] = original and function(...)
      local host = ...
      if type(host) ~= "string" or not can_wait() then return check.pass(name, original, ...) end
      return neap.blocking(look_up, package.cpath, name, ...)
    end
  end
end

local function patch_connect(socket)
  local connect = socket.connect
  local makers = { inet = "tcp4", inet6 = "tcp6", unspec = "tcp" }
  function socket.connect(host, port, local_host, local_port, family)
    local make = socket[makers[family or "unspec"]]
    if not make or not can_wait() then
      return check.pass("connect", connect, host, port, local_host, local_port, family)
    end
    local sock, problem = make()
    if not sock then return nil, problem end
    local done = true
    if local_host then done, problem = sock:bind(local_host, local_port or 0) end
    if done then done, problem = sock:connect(host, port) end
    if done then return sock end
    sock:close()
    return nil, problem
  end
end

local function patch_classes()
  for _, name in ipairs(classes) do patch_class(name) end
end

-- --- modules that bring more classes, whenever they are loaded ---

local later = { ["ssl.core"] = true, ["socket.unix"] = true }

local function load_later(name)
  if not later[name] then return nil end
  for _, search in ipairs(package.searchers) do
    local load, place
    if search ~= load_later then load, place = search(name) end
    if type(load) == "function" then
      return function(...)
        local result = load(...)
        patch_classes()
        return result
      end, place
    end
  end
  return nil
end

return function()
  local found, socket = pcall(require, "socket.core")
  if not found then return end
  patch_classes()
  table.insert(package.searchers, 1, load_later)
  patch_select(socket)
  patch_sleep(socket)
  patch_names(socket.dns)
  patch_connect(socket)
end
