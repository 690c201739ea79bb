-- What a worker of a pool does, in a thread, process or task of its own: (pool, id, options).
--
-- Options: `initializer` and `initargs`; `count`, the pieces of work after which it has done its duty (0: never). With
-- `runners` it is so many workers of a pool of tasks, and does as many pieces at once; `count` is for each of them.

local neap, internal = ...

local function run(runner)
  local _ <close> = runner
  while runner:step() do end
end

--- As `run`, for one of several: another task takes its place after `count` pieces (0: never), and when its work has
-- cancelled its own task. So none is held up by what another one does.
local function run_in_turn(scope, worker, count, runner)
  local _ <close> = runner
  local function hand_on() scope:spawn(run_in_turn, scope, worker, count, worker:runner()) end
  local done = 0
  repeat
    local stepped, more = pcall(runner.step, runner)
    if not stepped then
      if neap.is_cancelled(more) then hand_on() end -- it does not begin where all of them are
      error(more, 0)
    end
    if not more then return end
    done = done + 1
  until done == count
  hand_on()
end

--- Ends when the pool has been terminated: what still prepares the worker then, `preparing.task`, is cancelled.
local function listen(worker, preparing)
  while worker:listen() do neap.yield() end -- the runners', who may have it on their way to them
  if preparing.task then preparing.task:cancel("its pool has been terminated") end
end

--- Calls the initializer. False: it failed, and the pool is broken.
local function prepare(worker, options)
  if not options.initializer then return true end
  local traceback
  local function handler(err)
    traceback = debug.traceback(nil, 2)
    return err
  end
  local args = options.initargs or {}
  local prepared, err = xpcall(internal.pool.call, handler, options.initializer, table.unpack(args, 1, args.n or #args))
  if not prepared then
    if neap.is_cancelled(err) then error(err, 0) end
    worker:give_up(err, traceback)
  end
  return prepared
end

local function cancel(task) task:cancel() end

--- A to-be-closed value: what the worker has spawned ends with it.
local function spawn_bound(...)
  return setmetatable({ task = neap.spawn({ daemon = true, quiet = true }, ...) }, {
    __close = function(bound) cancel(bound.task) end,
  })
end

--- What extra runners run (bindings/pool/worker.c), and a function that waits until none of them has work any more.
local function extra_runners()
  local count, none = 0, neap.event()
  local counted = setmetatable({}, {
    __close = function()
      count = count - 1
      if count == 0 then none:set() end
    end,
  })
  local function run_extra(runner)
    count = count + 1
    none:clear()
    local _ <close> = counted
    run(runner)
  end
  return run_extra, function()
    while count > 0 do none:wait() end
  end
end

return function(pool, id, options)
  local run_extra, await_extras = extra_runners()
  local count = not options.runners and options.count or 0
  local worker <close> = internal.pool.worker(pool, id, count, run_extra)
  local preparing = { task = neap.current() }
  local _ <close> = spawn_bound(listen, worker, preparing)
  if not prepare(worker, options) then return end
  preparing.task = nil
  if options.runners then
    neap.scope(function(scope)
      for _ = 1, options.runners do scope:spawn(run_in_turn, scope, worker, options.count, worker:runner()) end
    end)
  else
    run(worker:runner())
  end
  await_extras()
end
