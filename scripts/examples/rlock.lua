-- A function that holds a lock calls another one that takes it too. With a lock that would never end, so it raises; a
-- reentrant lock may be taken again by the task that holds it.
--
-- Prints:
--   lock: it would wait for itself
--   rlock: 3
local neap = require "neap"

local function get(lock, list) return lock:with(function() return #list end) end

local function add(lock, list, value)
  return lock:with(function()
    list[#list + 1] = value
    return get(lock, list)
  end)
end

local list = {1, 2}
local ok, message = pcall(add, neap.lock(), {}, 3)
assert(not ok)
print("lock: " .. message:match("it would wait for itself"))
print("rlock: " .. add(neap.rlock(), list, 3))
