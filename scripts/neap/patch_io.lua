-- The files of the standard library in tasks. How a file is looked at before it is read is in bindings/io/stdio.c; here
-- is what is done when something is not at hand. The originals do all reading and writing.

local neap, internal = ...

local check = internal.load("neap.check")
local patch, stdio, programs = internal.patch, internal.stdio, internal.programs
local can_wait = patch.can_wait

local READ, WRITE = 1, 2
local CHUNK = 128 * 1024 -- of a file on a disk: is looked for, or fetched, at a time
local PIECE = 4096       -- a pipe that takes something takes so much

-- --- waiting for descriptors ---

--- By file: { [direction] = poll }, made when they are needed.
local polls = setmetatable({}, { __mode = "k" })

local function close_polls(file)
  for _, poll in pairs(polls[file] or {}) do patch.close(poll) end
  polls[file] = nil
end

--- Waits until the file can be read from, or written to. What cannot be waited for is always ready.
local function await(file, direction)
  local fd = stdio.descriptor(file)
  while not stdio.is_ready(fd, direction) do
    local known = polls[file] or {}
    polls[file] = known
    known[direction] = known[direction] or patch.poll(fd, direction)
    if not known[direction] then return end
    patch.wait(known[direction])
  end
end

-- --- turns ---
--
-- A read that waits has taken a part of its line already: whoever else reads the same file meanwhile waits for its
-- turn, be it that all it wants is at hand. So with writing.

--- By file: { lock =, users = }, while somebody reads, or writes.
local reading, writing = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "k" })

local leaving = {
  __close = function(user)
    local turn = user.turns[user.file]
    turn.users = turn.users - 1
    if turn.users == 0 then user.turns[user.file] = nil end
  end,
}

local function in_turn(turns, file, work, ...)
  local turn = turns[file] or { lock = neap.lock(), users = 0 }
  turns[file] = turn
  turn.users = turn.users + 1
  local _ <close> = setmetatable({ turns = turns, file = file }, leaving)
  local _ <close> = turn.lock:guard()
  return work(file, ...)
end

-- --- reading from pipes, terminals, sockets ---

--- What was read and not given to anybody when a task is cancelled goes back.
local returning = {
  __close = function(taken, problem)
    if problem ~= nil then stdio.unread(taken.file, table.concat(taken)) end
  end,
}

--- Waits for more: true, or nil at the end, or nil, message, number.
local function fill(file)
  if not stdio.is_ready(stdio.descriptor(file), READ) then stdio.show() end
  await(file, READ)
  return stdio.fill(file)
end

--- Reads until `enough(held, has_line, taken)` says how the rest is read: the format for the original, or how many
-- bytes.
local function gather(original, file, enough)
  local taken <close> = setmetatable({ file = file }, returning)
  local size = 0
  while true do
    local held, has_line = stdio.at_hand(file)
    local last = enough(held, has_line, size)
    if last then
      taken[#taken + 1] = original(file, last)
      return table.concat(taken)
    end
    if held > 0 then
      taken[#taken + 1] = original(file, held)
      size = size + held
    end
    local more, message, number = fill(file)
    if message then return nil, message, number end
    if not more then return #taken > 0 and table.concat(taken) or nil end
  end
end

local function read_line(original, file, format)
  return gather(original, file, function(_, has_line) return has_line and format end)
end

local function read_all(original, file)
  local bytes, message, number = gather(original, file, function() return false end)
  if message then return nil, message, number end
  return bytes or ""
end

local function read_count(original, file, count)
  if count > 0 then
    return gather(original, file, function(held, _, size) return held >= count - size and count - size end)
  end
  if stdio.at_hand(file) == 0 then
    local more, message, number = fill(file)
    if not more then return nil, message, number end
  end
  return ""
end

--- Is a numeral in the text, with something behind it that ends it? The original reads that far.
local function has_numeral(text)
  local at = text:match("^%s*[+-]?()")
  local digits, exponent = "%d", "[eE]"
  if text:find("^0[xX]", at) then at, digits, exponent = at + 2, "%x", "[pP]" end
  at = text:match("^" .. digits .. "*[.,]?" .. digits .. "*()", at)
  at = text:match("^" .. exponent .. "[+-]?%d*()", at) or at
  return at <= #text or #text > 200
end

--- A numeral that comes in pieces is put together in the buffer.
local function read_number(original, file)
  while not has_numeral(stdio.look(file)) do
    local taken <close> = setmetatable({ file = file }, returning)
    local held = stdio.at_hand(file)
    if held > 0 then taken[1] = original(file, held) end
    local more, message, number = fill(file)
    if message then return nil, message, number end
    stdio.unread(file, taken[1] or "")
    taken[1] = nil
    if not more then break end
  end
  return original(file, "n")
end

local stream_readers = { l = read_line, L = read_line, a = read_all, n = read_number, count = read_count }

-- --- reading from disks ---

--- By file: from where to where it was fetched last, for systems that do not tell what they have in memory.
local fetched = setmetatable({}, { __mode = "k" })

local function ensure(file, size)
  if stdio.cached(file, size) then return end
  local place, known = stdio.place(file), fetched[file]
  if known and place >= known.from and place + math.min(size, PIECE) <= known.to then return end
  size = math.max(size, CHUNK)
  stdio.fetch(file, size)
  if place then fetched[file] = { from = place, to = place + size } end
end

local function read_some(original, file, format)
  ensure(file, PIECE)
  return original(file, format)
end

--- So many bytes, or all, a chunk at a time.
local function read_chunks(original, file, count)
  local parts, left = {}, count
  while left > 0 do
    local size = math.min(left, CHUNK)
    ensure(file, size)
    local bytes, message, number = original(file, size)
    if message then return nil, message, number end
    if not bytes then break end
    parts[#parts + 1] = bytes
    left = left - #bytes
    if #bytes < size then break end
  end
  return #parts > 0 and table.concat(parts) or nil
end

local function read_whole(original, file)
  local bytes, message, number = read_chunks(original, file, math.maxinteger)
  if message then return nil, message, number end
  return bytes or ""
end

local function read_bytes(original, file, count)
  if count <= CHUNK then return read_some(original, file, count) end
  return read_chunks(original, file, count)
end

local disk_readers = { l = read_some, L = read_some, a = read_whole, n = read_some, count = read_bytes }

-- --- reading ---

--- As g_read of the original: the results in order, the first failure the last; an error of the system alone.
local function make_wait(original)
  local function read_one(file, readers, format)
    if type(format) == "number" then return readers.count(original, file, format) end
    local letter = format:match("^%*?(.)")
    return readers[letter](original, file, letter)
  end

  local function read_each(file, ...)
    local formats = table.pack(...)
    if formats.n == 0 then formats[1], formats.n = "l", 1 end
    local readers = stdio.on_disk(file) and disk_readers or stream_readers
    local results = {}
    for i = 1, formats.n do
      local value, message, number = read_one(file, readers, formats[i])
      if message then return nil, message, number end
      results[i] = value
      if value == nil then return table.unpack(results, 1, i) end
    end
    return table.unpack(results, 1, formats.n)
  end

  return function(file, ...) return in_turn(reading, file, read_each, ...) end
end

-- --- lines ---

local type_of = io.type

--- What the original's iterator would say of a format.
local function problem_of(format)
  if math.type(format) == "float" then
    return not math.tointeger(format) and "number has no integer representation" or nil
  end
  if type(format) == "number" then return nil end
  if type(format) ~= "string" then return "string expected, got " .. type(format) end
  return not format:find("^%*?[nlLa]") and "invalid format" or nil
end

--- The iterator over lines of `file`; `close` is called at the end.
local function iterate(read, file, close, ...)
  local formats = table.pack(...)

  local function finish(message)
    if message then error(message, 2) end -- called as a tail: of the iterator's caller
    if close then close(file) end
    return nil
  end

  for i = 1, formats.n do
    local problem = problem_of(formats[i])
    if problem then
      return function() error(("bad argument #%d to 'for iterator' (%s)"):format(i + 1, problem), 2) end
    end
  end
  if formats.n <= 1 then
    local format = formats[1] or "l"
    return function()
      if type_of(file) ~= "file" then error("file is already closed", 2) end
      local value, message = read(file, format)
      if value then return value end
      return finish(message)
    end
  end
  return function()
    if type_of(file) ~= "file" then error("file is already closed", 2) end
    local results = table.pack(read(file, table.unpack(formats, 1, formats.n)))
    if results[1] then return table.unpack(results, 1, results.n) end
    return finish(results[2])
  end
end

-- --- writing ---

--- Is it one of ours to care for: no file on a disk, and not what all threads print to?
local function is_stream(file)
  return io.type(file) == "file" and file ~= io.stdout and file ~= io.stderr and not stdio.on_disk(file)
end

--- Writes what is in the buffer.
local function drain(flush, file)
  local _, pending = stdio.fits(file, 0)
  if pending > 0 then await(file, WRITE) end
  return flush(file)
end

local function write_piece(write, flush, file, piece)
  if stdio.fits(file, #piece) then return write(file, piece) end
  local drained, message, number = drain(flush, file)
  if not drained then return nil, message, number end
  if not stdio.fits(file, #piece) then await(file, WRITE) end
  return write(file, piece)
end

--- Raises, for the caller of a method, what the original would.
local function check_open(file, name)
  local kind = type_of(file)
  if kind == "closed file" then error("attempt to use a closed file", 3) end
  if not kind then check.refuse(1, name, "FILE* expected, got " .. type(file)) end
end

--- Raises, for the caller of write, what the original would.
local function check_values(...)
  for i = 1, select("#", ...) do
    local kind = type((select(i, ...)))
    if kind ~= "string" and kind ~= "number" then
      error(("bad argument #%d to 'write' (string expected, got %s)"):format(i, kind), 3)
    end
  end
end

local function make_write(write, flush)
  local function write_number(file, number)
    if not stdio.fits(file, 64) then
      local drained, message, code = drain(flush, file)
      if not drained then return nil, message, code end
    end
    return write(file, number)
  end

  local function write_text(file, text)
    for at = 1, #text, PIECE do
      local written, message, number = write_piece(write, flush, file, text:sub(at, at + PIECE - 1))
      if not written then return nil, message, number end
    end
    return file
  end

  local function write_each(file, ...)
    for i = 1, select("#", ...) do
      local value = select(i, ...)
      local write_one = type(value) == "number" and write_number or write_text
      local written, message, number = write_one(file, value)
      if not written then return nil, message, number end
    end
    return file
  end

  return function(file, ...)
    check_open(file, "write")
    check_values(...)
    if not can_wait() or not is_stream(file) then return write(file, ...) end
    return in_turn(writing, file, write_each, ...)
  end
end

-- --- opening named pipes ---

--- In a thread of its own, which blocks until somebody reads: keeps its end open until the task has its own.
local function hold_open(path, opened, finished)
  local file = io.open(path, "a")
  opened:send(true)
  finished:recv()
  if file then file:close() end
end

--- Who waits no more lets the thread go on: reads itself until that has opened its end.
local abandoning = {
  __close = function(wait)
    wait.finished:close()
    if wait.seen then return end
    local reader = stdio.open_fifo(wait.path, "r")
    if not reader then return end
    neap.select({ wait.opened, wait.opener })
    reader:close()
  end,
}

local function open_to_write(path, mode)
  local file, message, number, lonely = stdio.open_fifo(path, mode)
  if not lonely then return file, message, number end
  local opened, finished = neap.channel(1), neap.channel()
  local opener = neap.thread({ name = "opener", daemon = true, quiet = true }, hold_open, path, opened, finished)
  local wait <close> = setmetatable({ path = path, opener = opener, opened = opened, finished = finished }, abandoning)
  wait.seen = neap.select({ opened, opener }) ~= nil -- its end: it was cancelled before it began
  file, message, number = stdio.open_fifo(path, mode)
  return file, message, number
end

--- What is to be read is opened at once, and waited for when it is read.
local function open_awaited(path, mode)
  if mode and mode:sub(1, 1) ~= "r" then return open_to_write(path, mode) end
  local file, message, number = stdio.open_fifo(path, mode or "r")
  return file, message, number
end

-- --- everything ---

return function()
  local methods = patch.methods_of("FILE*")
  local read, write, flush, close, lines = methods.read, methods.write, methods.flush, methods.close, methods.lines
  local library, std = package.loaded.io, {} -- std: the originals
  for name, value in pairs(library) do std[name] = value end

  local wait = make_wait(read)
  methods.read = stdio.make_read(read, wait, true, reading)
  library.read = stdio.make_read(std.read, wait, false, reading)
  methods.write = make_write(write, flush)

  function library.write(...)
    local file = io.output()
    check_values(...)
    if type_of(file) ~= "file" then return check.pass("write", std.write, ...) end
    if not can_wait() or not is_stream(file) then return std.write(...) end
    return methods.write(file, ...)
  end

  local function drain_in_turn(file) return in_turn(writing, file, function() return drain(flush, file) end) end

  function methods.flush(file)
    check_open(file, "flush")
    if not can_wait() or not is_stream(file) then return flush(file) end
    return drain_in_turn(file)
  end

  function library.flush()
    local file = io.output()
    if not can_wait() or not is_stream(file) then return check.pass("flush", std.flush) end
    return drain_in_turn(file)
  end

  function methods.close(file)
    check_open(file, "close")
    local drained, message, number = true, nil, nil
    if can_wait() and is_stream(file) then drained, message, number = drain_in_turn(file) end
    if io.type(file) == "file" then close_polls(file) end
    if drained then return close(file) end
    local closed, how, code = close(file)
    if closed and not how then return nil, message, number end -- of a program it tells how that has ended
    return closed, how, code
  end

  function library.close(file)
    if file == nil then return check.pass("close", std.close) end
    return methods.close(file)
  end

  function methods.lines(file, ...)
    check_open(file, "lines")
    check.pass("lines", lines, file, ...) -- there may be too many
    return iterate(methods.read, file, nil, ...)
  end

  library.open = stdio.make_open(std.open, open_awaited)
  local opens = library.open ~= std.open -- else a host has its own, which decides what may be opened

  function library.lines(name, ...)
    if opens and stdio.awaited(name) then
      local file, message = open_awaited(name)
      if not file then error(message, 2) end
      check.pass("lines", lines, file, ...)
      return iterate(methods.read, file, methods.close, ...), nil, nil, file
    end
    local file = select(4, check.pass("lines", std.lines, name, ...))
    if name == nil then return iterate(methods.read, io.input(), nil, ...) end
    return iterate(methods.read, file, methods.close, ...), nil, nil, file
  end

  function library.popen(command, mode)
    mode = mode or "r"
    if mode ~= "r" and mode ~= "w" then error("bad argument #2 to 'popen' (invalid mode)", 2) end
    if type(command) ~= "string" or not can_wait() then return check.pass("popen", std.popen, command, mode) end
    return programs.open(command, mode)
  end
end
