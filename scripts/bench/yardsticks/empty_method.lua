-- Seconds for two calls of a method in C that does nothing. The argument is the folder of the compiled module.
package.cpath = arg[1] .. "/?.so"
local object = require "empty_method"()
local count <const> = 10000000

local start = os.clock()
for _ = 1, count do
  object:empty()
  object:empty()
end
print((os.clock() - start) / count)
