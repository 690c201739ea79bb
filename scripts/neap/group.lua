-- Waiting for many tasks and threads: gather, race, wait, as_completed.
--
-- All are made of internal.watch (see bindings/pool/watch.h), which costs a constant amount for each end. It is closed
-- however it is left, so that a failure that nobody waits for any more is reported.

local neap, internal = ...

local check = internal.load("neap.check")
local refuse = check.refuse

local function check_timeout(timeout, position, name)
  if timeout == nil then return end
  if type(timeout) ~= "number" then
    refuse(position, name, "timeout: number of seconds expected, got " .. type(timeout))
  end
  if timeout ~= timeout or timeout < 0 then refuse(position, name, "timeout must not be negative or NaN") end
end

--- The list as it is now: what it holds may change while it is waited for.
local function copy(list, handles) return table.move(list, 1, #handles, 1, {}) end

function neap.gather(list, timeout)
  check_timeout(timeout, 2, "gather")
  local watch <close>, handles = internal.watch(list, "gather")
  local ended, message, code = watch:wait("trouble", timeout)
  if not ended then return nil, message, code end
  local trouble = watch:trouble()
  if trouble then handles[trouble]:join() end -- raises
  local results = {}
  for number, handle in ipairs(handles) do results[number] = handle:join() end
  return results
end

function neap.race(list, timeout)
  check_timeout(timeout, 2, "race")
  local watch <close>, handles = internal.watch(list, "race")
  if #handles == 0 then error("bad argument #1 to 'race' (at least one expected)", 2) end
  local ended, message, code = watch:wait("first", timeout)
  if not ended then return nil, message, code end
  local winner = handles[watch:next()]
  for _, handle in ipairs(handles) do handle:cancel("lost a race") end -- of no effect on what has ended
  return neap.shield(winner.join, winner) -- it has been won: a cancellation has come too late
end

local conditions = { all = "all", first = "first", first_error = "failure" }

local wait_options = { timeout = check.seconds, when = check.one_of("all", "first", "first_error") }

function neap.wait(list, options)
  options = check.options(options, wait_options, 2, "wait")
  local condition, timeout = conditions[options.when or "all"], options.timeout
  local watch <close>, handles = internal.watch(list, "wait")
  local elements, done, pending = copy(list, handles), {}, {}
  watch:wait(condition, timeout)
  for number, handle in ipairs(handles) do table.insert(handle:is_alive() and pending or done, elements[number]) end
  return done, pending
end

function neap.as_completed(list, timeout)
  check_timeout(timeout, 2, "as_completed")
  local deadline = timeout and neap.now() + timeout
  local watch, handles = internal.watch(list, "as_completed")
  local elements, told = copy(list, handles), 0
  local function take_next()
    while told < #elements do
      local number = watch:next()
      if number then
        told = told + 1
        return elements[number]
      end
      if not watch:wait("next", deadline and math.max(0, deadline - neap.now())) then error("timeout", 0) end
    end
  end
  return take_next, nil, nil, watch
end
