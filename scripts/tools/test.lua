-- Runs test programs and specs, each in a process of its own under a hard time limit, several at a time, and adds up
-- what they say. What is slowest is listed at the end, and what has failed is told there once more.
--
-- usage: lua5.4 test.lua KEY=VALUE...
--   unit=PROGRAM       run a cmocka program
--   spec=INTERPRETER   run each file= by busted under this interpreter; may be given several times
--   file=SPEC          a spec for all interpreters
--   script=SCRIPT      run it with runner=; it passes when its exit status is 0
--   runner=PROGRAM     the neap that is being tested; specs and scripts find its path in NEAP
--   modules=FOLDER     where a stock lua5.4 finds neap.so
--   jobs=COUNT         how many at a time (default: four for each processor, since tests wait most of their time)
--   limit=SECONDS      for each process (default 300)
--   seconds=SECONDS    begin again from the first until so much time has passed; all run once at least
--   tags=, exclude=    as busted has them
--   logs=FOLDER        where the full output of each run goes
--
-- Both kinds speak TAP. A process that dies, hangs or stops before its plan is fulfilled counts as one failure more.
-- The last line is "N passed, N failed"; the exit status is 0 only if something passed and nothing failed.

local SLOWEST = 5 -- that are listed

local options = {
  limit = 300,
  seconds = 0,
  logs = "build/logs",
  modules = "build",
  runner = "build/neap",
  unit = {},
  spec = {},
  file = {},
  script = {},
}

for _, argument in ipairs(arg) do
  local key, value = argument:match("^(%w+)=(.*)$")
  if key and type(options[key]) == "table" then
    table.insert(options[key], value)
  elseif key then
    options[key] = value
  else
    error("test.lua: expected KEY=VALUE, got " .. argument)
  end
end

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function read_line_of(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read("l")
end

options.jobs = tonumber(options.jobs) or 4 * (tonumber(read_line_of("nproc")) or 1)

local environment = {
  -- For a stock lua5.4. The runner has the library inside and finds that one first.
  "LUA_CPATH=" .. quote(options.modules .. "/?.so;;"),
  "NEAP=" .. quote(read_line_of("realpath -m " .. quote(options.runner)) or options.runner),
  "CMOCKA_MESSAGE_OUTPUT=TAP",
}

local total = { passed = 0, failed = 0, skipped = 0 }
local failures, skips, times = {}, {}, {}

--- Reads TAP until the end of `lines`: counts, the failures with the comments after them, and where it was last.
local function read_tap(lines)
  local tap = { passed = 0, failed = 0, skipped = 0, planned = nil, failures = {}, skips = {}, tail = {} }
  local inside_failure = false
  for line in lines do
    table.insert(tap.tail, line)
    if #tap.tail > 30 then table.remove(tap.tail, 1) end
    local verdict, title = line:match("^(%l*%s?ok) %d+(.*)$")
    if verdict ~= "ok" and verdict ~= "not ok" then verdict = nil end
    local is_comment = line:find("^#") and not line:find("^# %S+ @ %d+: ")
    if verdict and title:find("# SKIP", 1, true) then
      tap.skipped = tap.skipped + 1
      table.insert(tap.skips, (title:gsub("^[%s-]*# SKIP%s*", "")))
    elseif verdict == "ok" then
      tap.passed = tap.passed + 1
    elseif verdict then
      tap.failed = tap.failed + 1
      table.insert(tap.failures, line)
    elseif inside_failure and is_comment then
      table.insert(tap.failures, line)
    end
    inside_failure = verdict == "not ok" or (inside_failure and is_comment)
    tap.position = line:match("^# (%S+ @ %d+: .*)$") or tap.position
    local planned = line:match("^1%.%.(%d+)$")
    if planned then tap.planned = (tap.planned or 0) + tonumber(planned) end
  end
  return tap
end

--- What is wrong with the end of a process, or nil. The status of what a signal has ended is 128 + its number.
local function describe_end(tap, status)
  local place = tap.position and ", last in " .. tap.position or ""
  if status == 124 or status == 137 then return ("no end within %d s%s"):format(options.limit, place) end
  if status > 128 then return ("ended by signal %d%s"):format(status - 128, place) end
  local seen = tap.passed + tap.failed + tap.skipped
  if tap.planned ~= seen then
    return ("stopped with status %d after %d tests of %s%s"):format(status, seen, tap.planned or "unknown", place)
  end
  if status ~= 0 and tap.failed == 0 and tap.skipped == 0 then return ("exit status %d"):format(status) end
end

local function tell_failures(tap)
  for _, line in ipairs(tap.failures) do io.write("     ", line, "\n") end
end

local function report(name, tap, seconds)
  local skipped = tap.skipped > 0 and (", %d skipped"):format(tap.skipped) or ""
  io.write(("%-4s %-52s %4d passed%s%s  %.1f s\n"):format(tap.failed == 0 and "ok" or "FAIL", name, tap.passed,
    tap.failed > 0 and (", %d failed"):format(tap.failed) or "", skipped, seconds))
  tell_failures(tap)
  io.flush()
end

local function log_of(each)
  local name = each.name:gsub("^%W+", ""):gsub("[^%w_.-]+", "-")
  return ("%s/%s.log"):format(options.logs, name)
end

--- Reads what a run has left; one that is `plain` speaks no TAP, and its exit status is the verdict.
local function judge(each, status, seconds)
  local log <close> = assert(io.open(log_of(each)))
  local tap = read_tap(log:lines())
  if each.plain then tap.passed, tap.planned = status == 0 and 1 or 0, status == 0 and 1 or 0 end
  local trouble = describe_end(tap, status)
  if trouble then
    tap.failed = tap.failed + 1
    table.insert(tap.failures, each.name .. ": " .. trouble)
    for _, line in ipairs(tap.tail) do table.insert(tap.failures, "  | " .. line) end
  end
  report(each.name, tap, seconds)
  table.insert(times, { name = each.name, seconds = seconds })
  for key in pairs(total) do total[key] = total[key] + tap[key] end
  for _, skip in ipairs(tap.skips) do table.insert(skips, each.name .. ": " .. skip) end
  if tap.failed > 0 then table.insert(failures, { title = ("%s (%s)"):format(each.name, log_of(each)), tap = tap }) end
end

--- Runs all of the list, some at a time: xargs starts the next one when one has ended. Each says its number, its
-- status, and when it began and ended.
local function run_all(list)
  local path = options.logs .. "/commands"
  local commands <close> = assert(io.open(path, "w"))
  local form = "begin=$(date +%%s.%%N); env %s timeout -k 10 %d %s </dev/null >%s 2>&1; "
    .. "echo %d $? $begin $(date +%%s.%%N)\n"
  for number, each in ipairs(list) do
    local log = quote(log_of(each))
    commands:write(form:format(table.concat(environment, " "), options.limit, each.command, log, number))
  end
  commands:close()
  local ends <close> = assert(io.popen(("xargs -d '\\n' -P %d -n 1 sh -c <%s"):format(options.jobs, quote(path))))
  for line in ends:lines() do
    local number, status, from, to = line:match("^(%d+) (%d+) (%S+) (%S+)$")
    judge(list[tonumber(number)], tonumber(status), to - from)
  end
end

assert(os.execute("mkdir -p " .. quote(options.logs)))

--- The largest first: by and large they take the longest, and none of these should be left for the end.
local function sort_by_size(files)
  local sizes = {}
  for _, path in ipairs(files) do
    local file <close> = assert(io.open(path))
    sizes[path] = file:seek("end")
  end
  table.sort(files, function(a, b)
    if sizes[a] ~= sizes[b] then return sizes[a] > sizes[b] end
    return a < b
  end)
end

sort_by_size(options.file)

local runs = {}

for _, program in ipairs(options.unit) do
  table.insert(runs, { name = "unit " .. program:match("[^/]+$"), command = program })
end

local filters = (options.tags and " --tags=" .. options.tags or "")
  .. (options.exclude and " --exclude-tags=" .. options.exclude or "")
for _, interpreter in ipairs(options.spec) do
  for _, file in ipairs(options.file) do
    table.insert(runs, {
      name = interpreter .. " " .. file,
      command = ("%s /usr/bin/busted --output=TAP --verbose%s %s"):format(interpreter, filters, quote(file)),
    })
  end
end

for _, script in ipairs(options.script) do
  table.insert(runs, {
    name = options.runner .. " " .. script,
    command = ("%s %s"):format(options.runner, quote(script)),
    plain = true,
  })
end

local deadline = os.time() + tonumber(options.seconds)
run_all(runs)
local next_one = 0
while #runs > 0 and total.failed == 0 and os.time() < deadline do
  local some = {}
  for i = 1, math.min(#runs, 2 * options.jobs) do
    some[i] = runs[next_one + 1]
    next_one = (next_one + 1) % #runs
  end
  run_all(some)
end

table.sort(times, function(a, b) return a.seconds > b.seconds end)
io.write("\nslowest:\n")
for i = 1, math.min(#times, SLOWEST) do io.write(("  %-52s %.1f s\n"):format(times[i].name, times[i].seconds)) end
for _, skip in ipairs(skips) do io.write("skipped: ", skip, "\n") end
for _, failure in ipairs(failures) do
  io.write("failed: ", failure.title, "\n")
  tell_failures(failure.tap)
end
io.write(("%d passed, %d failed\n"):format(total.passed, total.failed))
os.exit(total.failed == 0 and total.passed > 0)
