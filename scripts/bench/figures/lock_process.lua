-- Seconds that acquiring and releasing a free lock of the parent takes in a child process.
local neap = require "neap"
local count <const> = 50000

print((neap.process(function(lock, times)
  local now = require("neap").now
  local start = now()
  for _ = 1, times do
    lock:acquire()
    lock:release()
  end
  return (now() - start) / times
end, neap.lock(), count):join()))
