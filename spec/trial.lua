--- Ways to put a case, which specs share.
--
--   local trial = require "spec.trial"
--   local it_races, raises = trial.it_races, trial.raises

local assert = require "luassert"
local busted = require "busted"
local neap = require "neap"

local trial = {}

trial.pool_kinds = { "thread", "process", "task" }

--- An `it` that looks for a race: run once with the others, and many times by `make stress`.
function trial.it_races(name, test)
  busted.it(name, test)
  busted.it(name .. " #stress", test)
end

--- An `it` for each kind of pool: test(new, kind), and new(options) makes a pool of that kind.
function trial.it_of_each_kind(name, test)
  for _, kind in ipairs(trial.pool_kinds) do
    busted.it(("%s (%s)"):format(name, kind), function()
      test(function(options)
        if type(options) == "number" then options = { workers = options } end
        options = options or {}
        options.kind = kind
        return neap.pool(options)
      end, kind)
    end)
  end
end

--- Calls fn(...), which must raise something whose text matches the pattern. Returns what it has raised.
function trial.raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches(pattern, tostring(err))
  return err
end

--- The numbers from 1 to `count`, in a list.
function trial.numbers(count)
  local list = {}
  for i = 1, count do list[i] = i end
  return list
end

--- The squares of the numbers from `from` to `to`, in a list.
function trial.squares(from, to)
  local list = {}
  for i = from, to do list[#list + 1] = i * i end
  return list
end

--- Begins a series of random numbers, and prints how to have the same one again. Returns the seed.
function trial.seed()
  local seed = tonumber(os.getenv("NEAP_SEED")) or os.time()
  print("# NEAP_SEED=" .. seed)
  math.randomseed(seed)
  return seed
end

return trial
