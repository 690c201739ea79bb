-- Seconds for a call of an empty Lua function.
local count <const> = 20000000
local function empty() end

local start = os.clock()
for i = 1, count do empty(i) end
print((os.clock() - start) / count)
