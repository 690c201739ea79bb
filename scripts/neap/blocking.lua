-- Blocking calls: neap.blocking. A helper is a thread with a state of its own that calls what it is given, again and
-- again.
--
-- Idle helpers receive on one channel of the engine, a rendezvous that serves the one which came last: so a send that
-- need not wait finds an idle helper, the warmest, and else a new one is started. Those that are not needed see nothing
-- come for a while, and end. The result comes back through a channel of its own, which nobody reads if the task has
-- stopped waiting: then it goes with it. A helper that is cancelled, as all are at the end of the program, answers as
-- well, unless it had not begun: then its end tells.

local neap, internal = ...

local IDLE_SECONDS = 2
local ENDED = "neap.blocking: the thread that was to call the function has ended"

--- The body of a helper. It is sent, so it refers to nothing but globals.
local function serve(helpers, idle_seconds, ended, work)
  local library = require "neap"

  --- What an error that cannot be sent says of itself, if anything, and the reason.
  local function explain(err, reason)
    local meta = (debug and debug.getmetatable or getmetatable)(err) -- whatever it shows of itself
    if meta == nil or type(meta) == "table" and not meta.__tostring then return reason end
    local speaks, words = pcall(tostring, err)
    return speaks and ("%s (%s)"):format(words, reason) or reason
  end

  local function answer(channel, told)
    local sent, problem = pcall(channel.send, channel, told)
    if sent then return end
    problem = tostring(problem):gsub("cannot send value%.err", "cannot send the error", 1)
    channel:send({ err = explain(told.err, (problem:gsub("cannot send value%.", "cannot send ", 1))) })
  end

  --- In a task of its own: what it has locked and not released is abandoned when it ends.
  local function call()
    local task = library.spawn({ quiet = true, name = "blocking" }, work.fn, table.unpack(work.args, 1, work.args.n))
    task:wait()
    local results = table.pack(pcall(task.join, task))
    if results[1] then return { results = table.pack(table.unpack(results, 2, results.n)) } end
    return { err = results[2], traceback = task:traceback() }
  end

  local _ <close> = setmetatable({}, { __close = function()
    if work then answer(work.answer, { err = ended }) end
  end })
  while work do
    answer(work.answer, call())
    work = nil
    work = helpers:recv(idle_seconds)
  end
end

--- Starts a helper that begins with `work`, and waits for its answer; nil: it was cancelled before it began.
local function serve_by_another(helpers, work)
  local options = { name = "helper", daemon = true, quiet = true }
  local helper = neap.thread(options, serve, helpers, IDLE_SECONDS, ENDED, work)
  local index, told = neap.select({ work.answer, helper })
  return index == 1 and told or work.answer:recv(0)
end

--- An error in sending the work speaks of the arguments, not of how we send them.
local function refuse(problem)
  if type(problem) ~= "string" then error(problem, 0) end
  problem = problem:gsub("cannot send value%.args", "cannot send args", 1)
  problem = problem:gsub("cannot send value%.fn", "cannot send function", 1)
  error(problem, 3)
end

function neap.blocking(fn, ...)
  if type(fn) ~= "function" then
    error(("bad argument #1 to 'blocking' (function expected, got %s)"):format(type(fn)), 2)
  end
  local helpers = internal.blocking.helpers()
  local work = { fn = fn, args = table.pack(...), answer = neap.channel(1) }
  local sent, taken = pcall(helpers.send, helpers, work, 0)
  if not sent then refuse(taken) end
  local told
  if taken then told = work.answer:recv() else told = serve_by_another(helpers, work) end
  if not told then error(ENDED, 2) end
  if told.results then return table.unpack(told.results, 1, told.results.n) end
  return internal.blocking.raise(told.err, told.traceback)
end
