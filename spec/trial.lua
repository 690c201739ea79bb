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

--- Calls test(call) again and again. In the n-th round `call` is pcall in a task of its own, which is cancelled before
-- its n-th instruction; the last one is the round in which none of these tasks gets so far.
function trial.cancel_at_each_instruction(test)
  local number, reached = 0, true
  while reached do
    number, reached = number + 1, false
    test(function(fn, ...)
      local results
      neap.spawn(function(...)
        local task, left = neap.current(), number
        debug.sethook(function()
          left = left - 1
          if left > 0 then return end
          debug.sethook()
          reached = true
          task:cancel()
        end, "", 1)
        results = table.pack(pcall(fn, ...))
        debug.sethook()
      end, ...):wait()
      return table.unpack(results, 1, results.n)
    end)
  end
end

--- Takes all that an iterator gives, through `call` of cancel_at_each_instruction: whenever that is cancelled, it goes
-- on without it.
function trial.take_all(call, iterate)
  local all = {}
  while true do
    local taken, value = call(iterate)
    if not taken then
      assert.is_true(neap.is_cancelled(value))
      value = iterate()
    end
    if value == nil then return all end
    all[#all + 1] = value
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
