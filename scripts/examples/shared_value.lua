-- A number and a list of numbers in shared memory: threads change them in place. A single change needs no lock; several
-- that belong together do.
--
-- Prints:
--   value: 40
--   array: 10 20 30
local neap = require "neap"

local value, array, lock = neap.value("i64", 0), neap.array("i64", {0, 0, 0}), neap.lock()

local function add(number)
  for _ = 1, 10 do
    lock:with(function() value:set(value:get() + number) end)
    for i = 1, #array do array:add(i, number == 1 and i or 0) end
  end
end

neap.gather({neap.thread(add, 1), neap.thread(add, 3)})
print("value: " .. value:get())
print(("array: %d %d %d"):format(array[1], array[2], array[3]))
