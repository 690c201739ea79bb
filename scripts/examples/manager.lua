-- A table and a list that several processes share. update is one step, whoever else is at it; so no word is counted
-- twice, and none is lost.
--
-- Prints:
--   the 4, of 1, tide 3
--   3 processes have counted
local neap = require "neap"

local counts, log = neap.dict(), neap.list()

local function count(text)
  for word in text:gmatch("%a+") do
    counts:update(word, function(number) return (number or 0) + 1 end)
  end
  log:append(neap.current().name)
end

local texts = {"the tide of the", "tide the", "the tide"}
local processes = {}
for i, text in ipairs(texts) do processes[i] = neap.process({name = "p" .. i}, count, text) end
for _, process in ipairs(processes) do process:join() end
print(("the %d, of %d, tide %d"):format(counts.the, counts.of, counts.tide))
print(#log .. " processes have counted")
