--- What specs share: running scripts in processes of their own, under a hard time limit.
--
--   local support = require "spec.support"
--   local result = support.run_script([[ print(...) ]], { "a", "b" })
--   assert.are.same({ status = 0, stdout = "a\tb\n", stderr = "" }, result)

local support = {}

--- The neap that is being tested, and a plain Lua.
support.runner = os.getenv("NEAP") or "build/neap"
support.lua = "lua5.4"

--- What the repetitions of races are multiplied by.
support.stress = tonumber(os.getenv("NEAP_STRESS")) or 1

--- Is the runner made for a sanitizer ("asan", "tsan")? Nil when it is not.
support.sanitizer = support.runner:match("/([at]san)/neap$")

function support.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local quote = support.quote

function support.write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

function support.read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

--- Is there such a process, and is it no zombie?
function support.is_running(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then return false end
  local state = file:read("a"):match("%) (%a)")
  file:close()
  return state ~= "Z" and state ~= "X"
end

--- A new path; the file is removed when the variable is closed.
function support.temporary_file(text)
  local path = os.tmpname()
  support.write_file(path, text or "")
  return setmetatable({ path = path }, { __close = function() os.remove(path) end })
end

local option_names = { input = true, limit = true, environment = true }

--- Starts a command line. Options: `input`, the text of its standard input (default: none); `limit`, after how many
-- seconds it is killed (default 60, longer under a sanitizer; its status is then 124 or 137); `environment`, a table
-- of variables. Returns a function that waits for its end and returns { status =, stdout =, stderr = }; the status of
-- what a signal has ended is 128 + its number.
function support.start_command(command, options)
  options = options or {}
  for name in pairs(options) do assert(option_names[name], "run_command: unknown option " .. tostring(name)) end
  local out, err, input = support.temporary_file(), support.temporary_file(), support.temporary_file(options.input)
  local variables = {}
  for name, value in pairs(options.environment or {}) do variables[#variables + 1] = name .. "=" .. quote(value) end
  local limit = options.limit or (support.sanitizer and 120 or 60)
  -- Whoever runs us in the background may have us ignore signals.
  local shell = assert(io.popen(("env --default-signal %s timeout -k 5 %d %s <%s >%s 2>%s; echo $?"):format(
    table.concat(variables, " "), limit, command, quote(input.path), quote(out.path), quote(err.path))))
  return function()
    local _ <close> = out
    local _ <close> = err
    local _ <close> = input
    local status = shell:read("n")
    shell:close()
    return { status = status, stdout = support.read_file(out.path), stderr = support.read_file(err.path) }
  end
end

--- The same, and waits for its end.
function support.run_command(command, options) return support.start_command(command, options)() end

local function start_file(interpreter, code, arguments, options)
  local script = support.temporary_file(code)
  local words = { interpreter, quote(script.path) }
  for _, argument in ipairs(arguments or {}) do words[#words + 1] = quote(tostring(argument)) end
  local finish = support.start_command(table.concat(words, " "), options)
  return function()
    local _ <close> = script
    local result = finish()
    -- messages name the script: by a name that is the same each time
    local pattern = script.path:gsub("%p", "%%%0")
    result.stdout, result.stderr = result.stdout:gsub(pattern, "script"), result.stderr:gsub(pattern, "script")
    return result
  end
end

local prelude = 'local neap = require "neap"; '

--- For the head of a script: finalise_soon(f) has `f` called as a finaliser at the next allocation.
support.finalise_soon = [[
local function finalise_soon(f)
  collectgarbage("incremental", 100, 1000, 40)
  collectgarbage()
  setmetatable({}, { __gc = f })
  collectgarbage("restart")
end
]]

--- For the head of a script: resident() is how many KiB of memory the process has.
support.resident = [[
local function resident()
  for line in io.lines("/proc/self/status") do
    local size = line:match("^VmRSS:%s*(%d+)")
    if size then return tonumber(size) end
  end
end
]]

--- Starts a program in the runner: `code` finds the library in the local `neap`, and its first line is line 1 of
-- `script`, as messages name the file. Options and result as in start_command.
function support.start_script(code, arguments, options)
  return start_file(quote(support.runner), prelude .. code, arguments, options)
end

--- The same, and waits for its end.
function support.run_script(code, arguments, options) return support.start_script(code, arguments, options)() end

--- The same, with no more than 40 descriptors.
function support.run_with_few_descriptors(code)
  local script <close> = support.temporary_file(prelude .. code)
  local command = ("ulimit -n 40; exec %s %s"):format(quote(support.runner), quote(script.path))
  return support.run_command("sh -c " .. quote(command))
end

--- As start_script, in a plain lua5.4, with the module.
function support.start_plain(code, arguments, options)
  local path = os.getenv("LUA_CPATH") or "./build/?.so;;"
  return start_file("env LUA_CPATH=" .. quote(path) .. " " .. support.lua, prelude .. code, arguments, options)
end

--- The same, and waits for its end.
function support.run_plain(code, arguments, options) return support.start_plain(code, arguments, options)() end

return support
