--- What specs of programs that compute share.
--
--   local computing = require "spec.computing"
--   local check, prelude = computing.check, computing.prelude

local assert = require "luassert"
local support = require "spec.support"

local computing = {}

--- Runs a program; it must print `expected` and end with `status` (default: 0).
function computing.check(expected, code, status, run)
  local result = (run or support.run_script)(code)
  assert.are.same({ status = status or 0, stdout = expected, stderr = "" }, result)
end

-- A program can use these.
computing.prelude = [[
  local function loop() while true do end end
  local function closing(fn) return setmetatable({}, { __close = fn }) end
  --- Computes until `seconds` of processor time are used up.
  local function compute(seconds)
    local limit = os.clock() + seconds
    while os.clock() < limit do end
  end
]]

return computing
