-- A lock keeps the lines of one thread together in a file that two threads write.
--
-- Prints:
--   10 lines, 1 change of hands
local neap = require "neap"

local function write(lock, path, name)
  lock:with(function()
    for i = 1, 5 do
      local file <close> = assert(io.open(path, "a"))
      file:write(("%s - %d\n"):format(name, i))
      neap.yield() -- others get a chance, and do not interfere
    end
  end)
end

local lock, path = neap.lock(), os.tmpname()
neap.gather({neap.thread(write, lock, path, "p1"), neap.thread(write, lock, path, "p2")})

local lines, changes, last = 0, 0, nil
for line in io.lines(path) do
  local name = line:match("^%w+")
  lines = lines + 1
  if last and name ~= last then changes = changes + 1 end
  last = name
end
os.remove(path)
print(("%d lines, %d change of hands"):format(lines, changes))
