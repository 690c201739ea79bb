-- Pools: neap.pool, and those methods of pools that can be written in Lua.
--
-- A pool has a supervisor, a daemon task of the thread that made it: it starts the workers, and others in the place of
-- those that end. When that task ends the pool does. What a worker does is in worker.lua.
--
-- A map is work like other work: a function of the engine's own that calls the script's for each item of a chunk.

local neap, internal = ...

local engine = internal.pool
local methods = engine.methods()

-- --- options ---

local check = internal.load("neap.check")
local refuse = check.refuse

--- Is the first argument of the method that calls us, or was told to by `level`, a pool?
local function check_self(pool, level, name)
  if pcall(methods.is_closed, pool) then return end
  error(("calling '%s' on bad self (pool expected, got %s)"):format(name, type(pool)), level + 1)
end

local no_length = "a table whose length is no integer" -- its metatable says so

--- How many arguments are in the table; nil, and what it is instead, if it is no list of them. One with a metatable is
-- asked.
local function count_arguments(args)
  if not getmetatable(args) then return engine.count_arguments(args) end
  local count = math.tointeger(args.n) or math.tointeger(#args)
  return count, not count and no_length or nil
end

local function arguments(value)
  return type(value) == "table" and count_arguments(value) ~= nil or "list of arguments"
end

local function count_of(what, most)
  return function(value)
    return math.type(value) == "integer" and value > 0 and value <= (most or math.maxinteger) or "a number of " .. what
  end
end

local pool_options = {
  workers = count_of("workers, 1 to 10000", 10000), kind = check.one_of("thread", "process", "task"),
  initializer = check.callable, initargs = arguments, max_tasks = count_of("tasks, 1 or more"), name = check.string,
  queue_limit = count_of("tasks, 1 or more"),
}

local map_options = {
  chunksize = count_of("items, 1 or more"), timeout = check.seconds, progress = check.boolean, collect = check.boolean,
}

-- --- workers ---

--- How to start a worker of each kind: (options of a handle, the worker's arguments...) -> handle.
local starters = {
  task = function(...) return neap.spawn(...) end,
  thread = function(...) return neap.thread(...) end,
  process = function(...)
    local process, message = neap.process(...)
    return process or error(message, 0)
  end,
}

--- What the supervisor knows: handles of workers, and their numbers, side by side.
local function start_worker(pool, crew)
  local number = crew.last + 1
  local name = ("%s worker %d"):format(crew.name, number)
  local handle = crew.start({ name = name, daemon = true, quiet = true }, methods._work, pool, number, crew.duty)
  crew.last = number
  table.insert(crew.handles, handle)
  table.insert(crew.numbers, number)
end

--- Takes a worker that has ended out of the crew. Returns the cause, unless it was to end.
local function bury(pool, crew, index)
  local handle, number = table.remove(crew.handles, index), table.remove(crew.numbers, index)
  local status, err = handle:status(), handle:error()
  if crew.kind == "process" and status == "done" then -- perhaps by os.exit, in the initializer or in work
    local cause = ("process %s exited with status %d"):format(handle.name, handle.exitcode)
    engine.bury(pool, number, "exited", cause)
    return cause
  end
  -- killed through its handle: that is no failure of its own, but costs its work what any other death does
  if status == "cancelled" and not neap.is_cancelled(err) then status = "failed" end
  engine.bury(pool, number, status, err, handle:traceback())
  return status ~= "done" and err or nil
end

--- A worker has ended: another takes its place, if there is work for one. Workers that all die before they have done
-- anything would be replaced for ever.
local function replace(pool, crew, cause)
  if not engine.wants_workers(pool) then return end
  local stats = pool:stats()
  local ended = stats.done + stats.failed + stats.cancelled
  crew.in_vain = cause ~= nil and ended == crew.ended and crew.in_vain + 1 or 0
  crew.ended = ended
  local started, problem = false, cause
  if crew.in_vain < crew.patience then started, problem = pcall(start_worker, pool, crew) end
  if started or #crew.handles > 0 then return end
  engine.give_up(pool, problem)
end

--- The supervisor: ends when no worker is left. Where it never begins, in a plain Lua that ends before, `keeper` is
-- collected.
local function supervise(pool, crew, keeper)
  local _ <close> = keeper
  local _ <close> = setmetatable({}, {
    __close = function()
      if #crew.handles == 0 then return end
      pool:terminate()
      for _, handle in ipairs(crew.handles) do handle:cancel("its pool has ended") end
      while #crew.handles > 0 do
        crew.handles[1]:wait()
        bury(pool, crew, 1)
      end
    end,
  })
  while #crew.handles > 0 do
    local index = neap.select(crew.handles)
    replace(pool, crew, bury(pool, crew, index))
  end
end

--- Why no worker could be started: an error in sending the duty speaks of the options that it was made of.
local function explain(problem)
  if type(problem) ~= "string" then return problem end
  return (problem:gsub("^%[neap%.pool%]:%d+: cannot send args%[3%]%.", "cannot send "))
end

function neap.pool(options, more)
  if more ~= nil then refuse(2, "pool", "options go into the one table, with 'workers' for their number") end
  if type(options) == "number" then options = { workers = options } end
  options = check.options(options, pool_options, 1, "pool")
  local kind = options.kind or "thread"
  local workers = options.workers or neap.cpu_count()
  local start = starters[kind]
  if not start then error("pools of processes are not available here", 2) end
  local pool, id, name = engine.open(kind, workers, options.queue_limit or 0, options.name)
  local shared = kind == "task" -- one worker for all of them: they are tasks of one thread
  local duty = {
    initializer = options.initializer,
    initargs = options.initargs,
    count = options.max_tasks or 0,
    runners = shared and workers > 1 and workers or nil,
  }
  local crew = {
    id = id, name = name, kind = kind, start = start, duty = duty,
    handles = {}, numbers = {}, last = 0,
    in_vain = 0, ended = 0, patience = 3 * workers + 3,
  }
  local keeper = engine.keep(pool)
  for _ = 1, shared and 1 or workers do
    local started, problem = pcall(start_worker, pool, crew)
    if not started then
      for _, handle in ipairs(crew.handles) do handle:cancel("its pool could not be made") end
      error(explain(problem), 2)
    end
  end
  internal.spawn_surely({ name = name .. " supervisor", daemon = true }, supervise, pool, crew, keeper)
  return pool
end

-- --- with callbacks ---

function methods:apply_async(fn, args, callback, error_callback)
  check_self(self, 2, "apply_async")
  if type(fn) ~= "function" then refuse(1, "apply_async", "function expected, got " .. type(fn)) end
  if args == nil then args = {} end
  if type(args) ~= "table" then refuse(2, "apply_async", "table of arguments expected, got " .. type(args)) end
  local count, instead = count_arguments(args)
  if not count then refuse(2, "apply_async", "list of arguments expected, got " .. instead) end
  for position, value in pairs({ [3] = callback, [4] = error_callback }) do
    if type(value) ~= "function" then refuse(position, "apply_async", "function expected, got " .. type(value)) end
  end
  local future = check.pass("apply_async", methods.submit, self, fn,
    check.pass("apply_async", table.unpack, args, 1, count))
  if not callback and not error_callback then return future end
  return future:on_done(function(ended)
    if ended:status() == "done" then
      if callback then callback(ended:result()) end
    elseif error_callback then
      error_callback(ended:error())
    end
  end)
end

-- --- maps ---

local map_chunk = methods._map

--- A bar where somebody looks, else nil.
local function new_bar(total) return internal.is_terminal() and neap.progress(nil, { total = total }) or nil end

local function remaining(deadline) return deadline and math.max(0, deadline - neap.now()) end

--- What `take` returns, which is called with the rest. An error in sending a chunk speaks of the list, from item
-- `first` on, not of the arguments of map_chunk; it is raised at `level`.
local function with_chunk(level, first, take, ...)
  local sent, result, message = pcall(take, ...)
  if sent then return result, message end
  if type(result) ~= "string" then error(result, 0) end
  result = result:gsub("cannot send args%[1%]", "cannot send function", 1)
  result = result:gsub("cannot send args%[2%]%[(%d+)%]", function(index)
    return ("cannot send list[%d]"):format(first + math.tointeger(index) - 1)
  end, 1)
  error(result, level)
end

--- What follows the deadline are arguments of engine.submit. Returns what that does, or nil, "timeout".
local function submit_chunk(level, first, deadline, ...)
  if not deadline then return with_chunk(level, first, engine.submit, ...) end
  return with_chunk(level, first, neap.timeout, remaining(deadline), engine.submit, ...)
end

local dropping = {
  __close = function(futures)
    for _, future in pairs(futures) do engine.drop(future) end
  end,
}

--- Of a pool whose process has ended: 1. It refuses the work that it is given.
local function count_workers(pool)
  local stats = pool:stats()
  return stats and stats.workers or 1
end

local function check_call(pool, name, fn)
  check_self(pool, 3, name)
  if type(fn) ~= "function" then refuse(1, name, "function expected, got " .. type(fn)) end
end

local function refuse_list(name, instead) refuse(2, name, "list expected, got " .. instead) end

--- Returns how many items it has.
local function check_list(name, list)
  local instead = engine.why_no_list(list)
  if instead then refuse_list(name, instead) end
  return math.tointeger(#list) or refuse_list(name, no_length)
end

--- Begins a series: a to-be-closed value. Until it is closed the pool takes what is submitted, though it is closed.
local function begin_series(pool, level)
  local series = engine.begin(pool)
  if series then return series end
  error(("%s is closed: it takes no more work"):format(tostring(pool):match("^pool: (.*) %(")), level + 1)
end

--- The `count` items of what is no plain table, and how many they are by now.
local function read_items(list, count)
  local items = {}
  for at = 1, count do
    items[at] = list[at]
    if items[at] == nil and type(list) == "userdata" then return items, at - 1 end -- others have made it shorter
  end
  return items, count
end

--- The items as they are now, how many, and whether they are such that all of them can be sent: others may change the
-- list while we wait for a place in the queue.
local function copy(name, list)
  local items, count
  if type(list) == "table" and not getmetatable(list) then
    items, count = list, #list
  else
    items, count = read_items(list, check_list(name, list))
  end
  local copied, plain = engine.copy(items, count)
  if not copied then refuse_list(name, plain) end
  return copied, count, plain
end

--- How many arguments each item of a starmap is. A copy of a list with holes might tell otherwise.
local function count_all_arguments(items, count)
  local counts = {}
  for at = 1, count do
    local item = items[at]
    if type(item) ~= "table" then
      refuse(2, "starmap", ("list[%d]: table of arguments expected, got %s"):format(at, type(item)))
    end
    local instead
    counts[at], instead = count_arguments(item)
    if instead then refuse(2, "starmap", ("list[%d]: list of arguments expected, got %s"):format(at, instead)) end
  end
  return counts
end

--- What makes the call of the chunk from an item on: map_chunk, what that is to call, items, how many, how many
-- arguments each of them is, whether errors are collected.
local function slicer(fn, items, count, counts, size, collects)
  return function(first)
    local length = math.min(size, count - first + 1)
    local slice = table.move(items, first, first + length - 1, 1, {})
    local spread = counts and table.move(counts, first, first + length - 1, 1, {})
    return map_chunk, fn, slice, length, spread, collects
  end
end

--- The chunks, encoded, each under its first item: so one that cannot be sent is found before any is.
local function encode_ahead(level, pool, chunk, count, size)
  local calls = {}
  for first = 1, count, size do calls[first] = with_chunk(level + 1, first, engine.encode, pool, chunk(first)) end
  return calls
end

--- Submits all items, `counts` of each as its arguments in a starmap. What has not ended is dropped when the batch is
-- closed. nil: there was no place for all before the deadline.
local function begin(pool, fn, options, deadline, all, count, plain, counts)
  local _ <close> = begin_series(pool, 3)
  local size = options.chunksize or math.max(1, math.ceil(count / (4 * count_workers(pool))))
  local batch = setmetatable({}, dropping)
  local sizes = { count = count, chunk = size }
  local _ <close> = setmetatable({}, { -- a task that is cancelled here leaves nothing behind
    __close = function(_, err) if err ~= nil then dropping.__close(batch) end end,
  })
  local chunk = slicer(fn, all, count, counts, size, options.collect)
  -- plain ones are encoded when there is a place for them, while others are worked on already
  local calls = not plain and encode_ahead(4, pool, chunk, count, size) or nil
  for first = 1, count, size do
    local lead = not options.collect and (batch[1] or true) or nil
    local future, message
    if calls then
      future, message = submit_chunk(4, first, deadline, pool, lead, calls[first])
    else
      future, message = submit_chunk(4, first, deadline, pool, lead, chunk(first))
    end
    if message then return dropping.__close(batch) end
    if not future then break end -- one of the others has failed
    batch[#batch + 1] = future
  end
  return batch, sizes
end

--- An error in sending the results of a chunk speaks of the items, not of the lists that the worker has made. nil:
-- it is another error.
local function name_item(problem, first)
  if type(problem) ~= "string" then return nil end
  local list, at, rest = problem:match("^cannot send result%[([12])%]%[(%d+)%](.*)$")
  if not list then return nil end
  return ("cannot send %s[%d]%s"):format(list == "1" and "result" or "error", first + math.tointeger(at) - 1, rest)
end

--- What the chunk from item `first` on has given: results, and errors with `collects`. Then a failure of all of it (its
-- worker died; a result cannot be sent) is the error of each of its items.
local function take(future, first, count, collects)
  if future:status() ~= "failed" then return future:result() end
  local problem = future:error()
  local named = name_item(problem, first)
  if not collects then
    if named then error(named, 0) end
    return future:result()
  end
  local errors = {}
  for at = 1, count do errors[at] = named or problem end
  return {}, errors
end

--- Puts the results of chunk `number` where they belong.
local function place(results, errors, sizes, number, future)
  local first = (number - 1) * sizes.chunk + 1
  local length = math.min(sizes.chunk, sizes.count - first + 1)
  local chunk_results, chunk_errors = take(future, first, length, errors ~= nil)
  table.move(chunk_results, 1, length, first, results)
  if errors then table.move(chunk_errors, 1, length, first, errors) end
end

--- Chunk `number` has ended: the one to take. What was cancelled because another one had failed ended after that, but
-- may be seen before.
local function blame(batch, number, total)
  if batch[number]:status() ~= "cancelled" then return number end
  for at = 1, total do
    if batch[at] and batch[at]:status() == "failed" then return at end
  end
  return number
end

--- Waits for all of a batch: the results; or nil, "timeout", "timeout"; raises the first failure.
local function collect(batch, sizes, options, deadline, name)
  if not batch then return nil, "timeout", "timeout" end
  local _ <close> = batch
  local watch <close> = internal.watch(batch, name)
  local bar <close> = options.progress and new_bar(sizes.count) or nil
  local results, errors = {}, options.collect and {} or nil
  local total = #batch
  for _ = 1, total do
    local ended, message, code = watch:wait("next", remaining(deadline))
    if not ended then return nil, message, code end
    local number = watch:next()
    if not errors then number = blame(batch, number, total) end
    sizes.taken = batch[number]
    place(results, errors, sizes, number, batch[number])
    batch[number] = nil
    if bar then bar:add(math.min(sizes.chunk, sizes.count - (number - 1) * sizes.chunk)) end
  end
  return results, errors
end

local function map(pool, name, fn, list, options, star)
  check_call(pool, name, fn)
  local items, count, plain = copy(name, list)
  options = check.options(options, map_options, 3, name)
  local deadline = options.timeout and neap.now() + options.timeout
  local counts = star and count_all_arguments(items, count)
  local batch, sizes = begin(pool, fn, options, deadline, items, count, plain, counts)
  return collect(batch, sizes, options, deadline, name)
end

function methods:map(fn, list, options) return map(self, "map", fn, list, options, false) end

function methods:starmap(fn, list, options) return map(self, "starmap", fn, list, options, true) end

--- Where the work failed that made a map fail; of another failure, where that was.
local function traceback_of(task, sizes)
  local taken = sizes.taken
  if taken and taken:status() == "failed" then return taken:traceback() end
  return task:traceback()
end

--- The body of the task that keeps the promise of a map, once `task` has the results.
local function keep_promise(promise, task, batch, sizes)
  local _ <close> = promise
  local _ <close> = batch -- a task that was cancelled before it began has dropped nothing
  task:wait()
  local status, err = task:status(), task:error()
  if status == "done" then
    engine.fulfil(promise, status, task:join())
  else
    engine.fulfil(promise, neap.is_cancelled(err) and "cancelled" or status, err, traceback_of(task, sizes))
  end
end

function methods:map_async(fn, list, options)
  check_call(self, "map_async", fn)
  local items, count, plain = copy("map_async", list)
  options = check.options(options, map_options, 3, "map_async")
  local deadline = options.timeout and neap.now() + options.timeout
  local batch, sizes = begin(self, fn, options, deadline, items, count, plain)
  local task = neap.spawn({ name = "map_async", quiet = true }, collect, batch, sizes, options, deadline, "map_async")
  local future, promise = engine.promise(self, task)
  internal.spawn_surely({ name = "map_async", quiet = true }, keep_promise, promise, task, batch, sizes)
  return future
end

-- --- lazily ---
--
-- A feeder, a daemon task, takes items from the list or iterator and submits them, so many chunks ahead of the results
-- that are taken out. So an iterator may wait for whatever it likes.
--
-- What it submits is a series: so it goes on when the pool is closed, whose workers stay for it. Once somebody waits
-- for the end of the pool, the feeder does not wait for who takes any more: that may be the same one, or nobody.

local chunks_ahead = 2 -- for each worker

--- Where a feeder's items come from: (size) -> items, how many; none at the end.
local function read_list(list)
  local at = 0
  return function(size)
    local items, count = {}, 0
    local last = math.min(at + size, #list) -- beyond its end an array raises
    while at < last and (type(list) == "table" or list[at + 1] ~= nil) do -- others make a shared one shorter
      at, count = at + 1, count + 1
      items[count] = list[at]
    end
    return items, count
  end
end

local function read_iterator(iterator, state, control)
  local ended = false
  return function(size)
    local items, count = {}, 0
    while count < size and not ended do
      local item = iterator(state, control)
      control = item
      ended = item == nil
      if not ended then
        count = count + 1
        items[count] = item
      end
    end
    return items, count
  end
end

local cancelling = { __close = function(bound) bound.task:cancel() end }

--- Makes room for all the rest when there is haste. Until the to-be-closed value that it returns is closed.
local function heed_haste(pool, room)
  local task = neap.spawn({ name = "imap", daemon = true, quiet = true }, function()
    engine.await_haste(pool)
    room:release(math.maxinteger // 2)
  end)
  return setmetatable({ task = task }, cancelling)
end

local function feed(stream)
  local _ <close> = heed_haste(stream.pool, stream.room)
  local first = 1
  while true do
    stream.room:acquire()
    local items, count = stream.read(stream.size)
    if count == 0 then return end
    local future =
      submit_chunk(0, first, nil, stream.pool, nil, map_chunk, stream.fn, items, count, nil, stream.collect)
    if stream.closed then return engine.drop(future) end
    table.insert(stream.chunks, { future = future, first = first, count = count })
    first = first + count
    stream.arrived:set()
  end
end

--- The body of the feeder.
local function run_feeder(stream)
  local _ <close> = stream.series
  local ended, err = pcall(feed, stream)
  stream.ended, stream.problem = true, not ended and not stream.closed and { err } or nil
  stream.arrived:set()
end

--- Waits until a chunk may be done: the first one, or any. Its place in the stream's list; nil: none is left, and none
-- will come.
local function await_chunk(stream, ordered, timeout)
  while true do
    stream.arrived:clear() -- before we look: what comes in between sets it
    if #stream.chunks > 0 or stream.ended then break end
    if not stream.arrived:wait(timeout) then error("timeout", 0) end
  end
  if #stream.chunks == 0 then
    if stream.problem then error(stream.problem[1], 0) end
    return nil
  end
  if ordered then
    if not stream.chunks[1].future:wait(timeout) then error("timeout", 0) end
    return 1
  end
  local cases = { stream.arrived }
  for at, chunk in ipairs(stream.chunks) do cases[at + 1] = chunk.future end
  local at = neap.select(cases, timeout)
  if not at then error("timeout", 0) end
  if at == 1 then return await_chunk(stream, ordered, timeout) end
  return at - 1
end

local closing = {}

--- No more is wanted: what has not begun is dropped, and who still asks is told that this is the end.
function closing.__close(closer)
  local stream = closer.stream
  local _ <close> = stream.series -- its feeder may never have begun
  closer.feeder:cancel()
  for _, chunk in ipairs(stream.chunks) do engine.drop(chunk.future) end
  stream.chunks, stream.ended, stream.closed = {}, true, true
  stream.arrived:set()
end

closing.__gc = closing.__close

--- What follows the source is a table of options, or what the maker of an iterator has returned besides.
local function imap(pool, ordered, name, fn, source, options, control)
  local state
  if type(source) == "function" and type(options) ~= "table" then state, options = options, nil end
  local is_iterator = type(source) == "function"
  check_call(pool, name, fn)
  local total = not is_iterator and check_list(name, source) or nil
  options = check.options(options, map_options, 3, name)
  local stream = {
    pool = pool, fn = fn, size = options.chunksize or 1, collect = options.collect,
    series = begin_series(pool, 2),
    read = is_iterator and read_iterator(source, state, control) or read_list(source),
    room = neap.semaphore(chunks_ahead * count_workers(pool)), arrived = neap.event(),
    chunks = {}, ended = false, closed = false, problem = nil,
  }
  local feeder = internal.spawn_surely({ name = name, daemon = true, quiet = true }, run_feeder, stream)
  local closer = setmetatable({ feeder = feeder, stream = stream }, closing)
  local bar = options.progress and new_bar(total) or nil
  local results, errors, first, count, at = {}, nil, 0, 0, 0
  local turn = neap.lock() -- several tasks may ask

  local function take_chunk()
    local index = await_chunk(stream, ordered, options.timeout)
    if not index or stream.closed then return false end
    local chunk = table.remove(stream.chunks, index)
    stream.room:release()
    -- what has ended need not be waited for, and has been taken: a cancellation is for the next wait
    results, errors = neap.shield(take, chunk.future, chunk.first, chunk.count, stream.collect)
    first, count, at = chunk.first, chunk.count, 0
    if bar then bar:add(count) end
    return true
  end

  local function next_result()
    local guard <close> = turn:guard(options.timeout)
    if not guard then error("timeout", 0) end
    if stream.closed or (at == count and not take_chunk()) then
      if bar then bar:close() end
      bar = nil
      closing.__close(closer)
      return nil
    end
    at = at + 1
    local result = results[at]
    if result == nil then result = neap.null end
    return result, first + at - 1, errors and errors[at]
  end

  return next_result, nil, nil, closer
end

function methods:imap(...) return imap(self, true, "imap", ...) end

function methods:imap_unordered(...) return imap(self, false, "imap_unordered", ...) end

return methods
