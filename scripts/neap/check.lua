-- Checking arguments and options, for the rest of the Lua half. What is wrong raises, at the place of whoever called
-- the function that checks.

local check = {}

--- The level, for `error` in whoever calls this, of the first function that is not ours.
local function level_outside()
  local level = 2
  if not debug.getinfo then return level + 2 end -- a host has taken it away
  repeat
    level = level + 1
    local info = debug.getinfo(level, "S")
  until not info or not info.source:find("^=%[neap[%].]")
  return level - 1
end

--- Raises, at the place where the script has called one of our functions.
function check.refuse(position, name, problem)
  error(("bad argument #%d to '%s' (%s)"):format(position, name, problem), level_outside())
end

--- What a call has returned, or its error, as check.pass raises it.
local function passed(name, skipped, done, ...)
  if done then return ... end
  local err = ...
  if type(err) ~= "string" then error(err, 0) end
  error((err:gsub("^bad argument #(%d+) to '%?'", function(number)
    return ("bad argument #%d to '%s'"):format(math.max(1, number - skipped), name)
  end)), level_outside())
end

--- Calls `fn`, a function of C, with what a script has given for it under the name `name`: what is
--- wrong with that is said with the place where the script has called one of our functions.
function check.pass(name, fn, ...) return passed(name, 0, pcall(fn, ...)) end

--- A function that does so with a method, whose arguments are counted without what it is a method of.
function check.passing(name, method)
  return function(...) return passed(name, 1, pcall(method, ...)) end
end

-- --- what an option may be: true, or what is expected ---

local function of_type(kind) return function(value) return type(value) == kind or kind end end

check.boolean, check.string, check.table = of_type("boolean"), of_type("string"), of_type("table")
check.callable = of_type("function")

--- What C takes for a string: a zero byte would be its end.
function check.text(value)
  if type(value) ~= "string" then return "string" end
  return not value:find("\0", 1, true) or "string without zero bytes"
end

function check.count(value) return math.type(value) == "integer" and value > 0 or "a whole number, 1 or more" end

function check.seconds(value)
  if type(value) ~= "number" then return "number of seconds" end
  return value >= 0 or "number of seconds that is not negative or NaN"
end

function check.one_of(...)
  local allowed, list = {}, table.concat({ ... }, "', '")
  for _, word in ipairs({ ... }) do allowed[word] = true end
  return function(value) return allowed[value] or "one of '" .. list .. "'" end
end

--- Allowed are whatever one of `tests` allows.
function check.either(...)
  local tests = { ... }
  return function(value)
    local expected = {}
    for number, test in ipairs(tests) do
      local said = test(value)
      if said == true then return true end
      expected[number] = said
    end
    return table.concat(expected, " or ")
  end
end

local function known_names(known)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

--- What was given in place of what is expected: numbers and words as they are.
local function say(value)
  if type(value) == "number" then return tostring(value) end
  return type(value) == "string" and value:find("^[%w_]+$") and ("'%s'"):format(value) or type(value)
end

--- Raises unless the argument is nil or seconds.
function check.timeout(value, position, name)
  local expected = value == nil or check.seconds(value)
  if expected ~= true then check.refuse(position, name, ("%s expected, got %s"):format(expected, say(value))) end
end

--- A copy of the table of options; `known` has the test of each. Nil is an empty one.
function check.options(options, known, position, name)
  local copy = {}
  if options == nil then return copy end
  if type(options) ~= "table" then
    check.refuse(position, name, "table of options expected, got " .. type(options))
  end
  for key, value in pairs(options) do
    if not known[key] then
      check.refuse(position, name, ("unknown option '%s' (known: %s)"):format(tostring(key), known_names(known)))
    end
    local expected = known[key](value)
    if expected ~= true then
      check.refuse(position, name, ("option '%s': %s expected, got %s"):format(key, expected, say(value)))
    end
    copy[key] = value
  end
  return copy
end

return check
