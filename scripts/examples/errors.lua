-- An error in a thread is raised where the thread is joined, with the line where it happened. What nobody joins goes to
-- the function of on_error.
--
-- Prints:
--   joined: no such file
--   at line 15
--   unjoined: thread w2: disk full
local neap = require "neap"

local reports = neap.channel(1)
neap.on_error(function(handle, err) reports:send(("thread %s: %s"):format(handle.name, err.what)) end)

local function fail(event, what)
  event:wait()
  error({what = what})
end

local begin = neap.event()
local thread = neap.thread({quiet = true}, fail, begin, "no such file")
begin:set()
local ok, err = pcall(thread.join, thread)
assert(not ok)
print("joined: " .. err.what)
print("at line " .. thread:traceback():match("errors.lua:(%d+): in function") or "?")

local other = neap.thread({name = "w2"}, fail, begin, "disk full")
print("unjoined: " .. reports:recv())
pcall(other.join, other) -- now somebody has joined it: the exit status is 0
