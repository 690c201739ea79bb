-- Seconds to acquire and release a lock that nobody else wants. With the argument "shared" another thread has had it
-- before, and it can no longer be known that only this one uses it.
local neap = require "neap"
local count <const> = 5000000
local shared <const> = ... == "shared"

local lock = neap.lock()
if shared then
  neap.thread(function()
    lock:acquire()
    lock:release()
  end):join()
end

local start = os.clock()
for _ = 1, count do
  lock:acquire()
  lock:release()
end
print((os.clock() - start) / count)
