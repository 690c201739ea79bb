-- Round trips a second between two tasks of the scheduler written by hand.
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path
local scheduler = require "scheduler"
local count <const> = 1000000

local there, back = scheduler.channel(), scheduler.channel()

scheduler.spawn(function()
  while true do back:send(there:recv()) end
end)

local spent
scheduler.spawn(function()
  local start = os.clock()
  for i = 1, count do
    there:send(i)
    back:recv()
  end
  spent = os.clock() - start
end)

scheduler.run()
print(count / spent)
