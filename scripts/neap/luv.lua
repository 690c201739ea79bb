-- neap.luv: luv's loop, turned by ours (bindings/io/luv.c).

local neap, internal = ...

--- Fails a task for what a callback has raised, so that it is told of as any other failure.
local function report(raised) neap.spawn({ name = "callback of luv" }, internal.luv.raise, raised) end

local function load()
  if not package.loaded.luv then internal.luv.check_room() end
  local path = package.searchpath("luv", package.cpath)
  if not path then error("neap.luv needs luv; in Debian the package lua-luv", 0) end
  local luv = require "luv"
  if not internal.luv.adopt(path) then error(path .. " is no luv that neap knows", 0) end
  return luv
end

--- Between tasks: what luv's loop can do now.
local function start(luv)
  local run, is_alive, timeout = luv.run, luv.loop_alive, luv.backend_timeout
  local idle = neap.event()
  internal.luv.turn(luv.backend_fd(), function()
    run("nowait")
    if not is_alive() then idle:set() end
    return timeout()
  end, report)

  --- In its place, for what stands on luv: waits until luv's loop has nothing to do any more.
  function luv.run(mode)
    if mode == "once" or mode == "nowait" then
      neap.yield()
      return is_alive()
    end
    while is_alive() do
      idle:clear()
      idle:wait()
    end
    return false
  end
end

local luv

function neap.luv()
  if not luv then
    local loaded = load()
    start(loaded)
    luv = loaded
  end
  return luv
end
