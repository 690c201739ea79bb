-- Two tasks that hand the turn to each other: yield lets the other one go on.
--
-- Prints:
--   12
--   56
--   34
--   78
local neap = require "neap"

local first = neap.spawn(function()
  print(12)
  neap.yield()
  print(34)
end)

local second = neap.spawn(function()
  print(56)
  neap.yield()
  print(78)
end)

neap.gather({first, second})
