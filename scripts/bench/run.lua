--[[
`make bench`: how fast neap is, as ratios to yardsticks measured in the same run.

  build/neap scripts/bench/run.lua [--runs N] [--json] [--neap PATH] [--build DIRECTORY] [row ...]

Every measurement is a child process of its own that prints one number. A row's figure and its yardstick take turns,
five times each unless told otherwise. The table has the medians of both, and the median of the ratios of each figure
to the yardstick right behind it. The ratio counts, not the seconds: a machine that is slower, or busy, slows both.

What is measured on one thread counts processor time on both sides, because other programs would only blur it; what is
about threads or about lateness counts real time on both sides.

What other programs disturb, because they want processors that the measurement needs, is taken again a moment later,
a few times a row; rows where some stayed disturbed are marked.

A missed target is printed as such and is no failure; a measurement that cannot be taken is one (status 1).
--]]

local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "../?.lua;" .. package.path

local build = require "bench.build"
local child = require "bench.child"
local disturbance = require "bench.disturbance"
local report = require "bench.report"
local rows_of = require "bench.rows"

-- A measurement is disturbed when other programs take more than this share of a processor that it needs.
local disturbing <const> = 0.2
-- How many measurements of a row may be repeated for that, and after how many seconds.
local patience <const>, pause <const> = 5, 0.5
local processors <const> = disturbance.processors()

local usage <const> = "usage: run.lua [--runs N] [--json] [--neap PATH] [--build DIRECTORY] [row ...]"

local function fail(message)
  io.stderr:write(message, "\n")
  os.exit(2)
end

local function read_arguments(list)
  local options = { runs = 5, json = false, neap = here .. "../../build/neap", build = here .. "../../build/bench" }
  local names = {}
  local i = 1
  local function value()
    i = i + 1
    return list[i] or fail(list[i - 1] .. " wants a value\n" .. usage)
  end
  while i <= #list do
    local word = list[i]
    if word == "--runs" then
      options.runs = math.tointeger(tonumber(value()))
      if not options.runs or options.runs < 1 then fail("--runs wants a whole number from 1 on\n" .. usage) end
    elseif word == "--json" then
      options.json = true
    elseif word == "--neap" or word == "--build" then
      options[word:sub(3)] = value()
    elseif word:sub(1, 1) == "-" then
      fail(usage)
    else
      names[#names + 1] = word
    end
    i = i + 1
  end
  return options, names
end

-- The rows named, in the order of the table; all when none is named.
local function choose(rows, names)
  if #names == 0 then return rows end
  local wanted = {}
  for _, name in ipairs(names) do wanted[name] = true end
  local chosen = {}
  for _, row in ipairs(rows) do
    if wanted[row.name] then
      chosen[#chosen + 1] = row
      wanted[row.name] = nil
    end
  end
  local unknown = next(wanted)
  if unknown then
    local known = {}
    for i, row in ipairs(rows) do known[i] = row.name end
    fail(("no row is named %s; there are: %s"):format(unknown, table.concat(known, " ")))
  end
  return chosen
end

local function median(list)
  local numbers = table.move(list, 1, #list, 1, {})
  table.sort(numbers)
  local half = #numbers // 2
  if #numbers % 2 == 1 then return numbers[half + 1] end
  return (numbers[half] + numbers[half + 1]) / 2
end

-- How many processors other programs may keep busy while a row is measured.
local function spare(row) return math.max(processors - (row.processors or 1), 0) + disturbing end

-- One measurement, undisturbed if the row's patience allows: the number, or nil and a message, and whether it was
-- disturbed.
local function take(result, command)
  while true do
    local others, number, message = disturbance.during(child.run, command)
    local disturbed = others > spare(result.row)
    if not number or not disturbed or result.repeated == patience then return number, message, disturbed end
    result.repeated = result.repeated + 1
    os.execute("sleep " .. pause)
  end
end

-- Figure and yardstick in turn; a result with their medians, or with the message of the child that failed.
local function measure(row, runs, progress)
  local result = { row = row, figures = {}, yardsticks = {}, ratios = {}, disturbed = 0, repeated = 0 }
  for run = 1, runs do
    progress(("%s: run %d of %d"):format(row.name, run, runs))
    for _, side in ipairs { "figure", "yardstick" } do
      if row[side] then
        local number, message, disturbed = take(result, row[side])
        if not number then
          result.failure = message
          return result
        end
        if disturbed then result.disturbed = result.disturbed + 1 end
        local list = result[side .. "s"]
        list[#list + 1] = number
      end
    end
    if row.yardstick then result.ratios[run] = result.figures[run] / result.yardsticks[run] end
  end
  result.figure = median(result.figures)
  if row.yardstick then
    result.yardstick = median(result.yardsticks)
    result.ratio = median(result.ratios)
  end
  return result
end

local function progress_line()
  if not os.execute("test -t 2") then return function() end end
  return function(text) io.stderr:write("\r\27[K", text) end
end

local options, names = read_arguments(arg)
local places = { here = here, neap = options.neap, lua = "lua5.4", build = options.build }
local rows = choose(rows_of(places), names)
local progress = progress_line()

progress("building the yardsticks")
local built, message = build.yardsticks(here .. "yardsticks", places.build, places.neap:gsub("[^/]*$", "libneap.a", 1))
if not built then fail(message) end

local results = {}
local failed = false
for i, row in ipairs(rows) do
  results[i] = measure(row, options.runs, progress)
  failed = failed or results[i].failure ~= nil
end
progress("")

io.write(options.json and report.json(results) or report.text(results, options.runs))
os.exit(failed and 1 or 0)
