-- The prompt: reads, has a session run what was typed, and sees to interrupts.
--
-- LEAVING  From a terminal one leaves in the orderly way of os.exit: what still runs is cancelled. At the end of a file
--          or pipe the prompt just ends, and the program goes on as after any main chunk.

local neap, internal = ...

local new_session = internal.load "neap.prompt.session"
local open_console = internal.load "neap.prompt.console"
local converse = internal.load "neap.prompt.converse"

local function make_front(console)
  local front = { colour = console:has_colour() }
  function front.write(text)
    io.stdout:write(text)
    io.stdout:flush()
  end
  function front.write_error(text) io.stderr:write(text) end
  function front.width() return console:width() end
  function front.await(task) console:await(task, function() task:cancel("interrupted") end) end
  return front
end

--- What fails in the background is told as what fails at the prompt is.
local function report_failures(session)
  neap.on_error(function(handle, err, traceback) session:report(err, traceback, handle.name) end)
end

--- The main chunk of `neap -i`: (the function of the script or nil, its arguments).
return function(script, ...)
  local console <close> = open_console()
  local session = new_session(make_front(console))
  report_failures(session)
  console:say(("neap %s, %s. :help for help, Ctrl-D to leave.\n"):format(neap.version, _VERSION))
  if script then session:run(script, nil, ...) end
  if rawget(_G, "neap") == nil then _G.neap = neap end
  converse(console, session)
  if console.typed then os.exit(0) end
end
