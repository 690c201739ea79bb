-- Other programs: neap.popen, and neap.run on top of it. Starting and watching are in C (bindings/io/popen.c).

local neap, internal = ...

local check = internal.load("neap.check")

local streams_of_output = check.one_of("pipe", "inherit", "null")

local popen_options = {
  stdin = check.one_of("pipe", "inherit", "null"), stdout = streams_of_output,
  stderr = check.one_of("pipe", "inherit", "null", "stdout"), cwd = check.string, env = check.table,
  group = check.boolean,
}

local run_options = {
  stdin = check.string, stdout = streams_of_output, stderr = check.one_of("pipe", "inherit", "null", "stdout"),
  cwd = check.string, env = check.table, timeout = check.seconds,
}

--- Nothing that would mean something else to the system than it does here.
local function check_strings(options, name)
  if options.cwd and options.cwd:find("\0", 1, true) then
    check.refuse(1, name, "option 'cwd': a path has no zero bytes")
  end
  for variable, value in pairs(options.env or {}) do
    if type(variable) ~= "string" or variable == "" or variable:find("[=\0]") then
      check.refuse(1, name, ("option 'env': no variable is named '%s'"):format(tostring(variable)))
    end
    local kind = type(value)
    if kind ~= "string" and kind ~= "number" and value ~= false or kind == "string" and value:find("\0", 1, true) then
      check.refuse(1, name, ("option 'env': %s: string without zero bytes, or false, expected"):format(variable))
    end
  end
end

--- The words of the command, and the options beside them.
local function check_command(command, known, name)
  if type(command) ~= "table" then
    check.refuse(1, name, 'table of words expected, as { "ls", "-l" }, got ' .. type(command))
  end
  local words, options = {}, {}
  for key, value in pairs(command) do
    if math.type(key) ~= "integer" then options[key] = value end
  end
  for number = 1, #command do
    local word = command[number]
    if type(word) == "number" then word = tostring(word) end
    if type(word) ~= "string" then
      check.refuse(1, name, ("word %d: string expected, got %s"):format(number, type(word)))
    elseif word:find("\0", 1, true) then
      check.refuse(1, name, ("word %d has a zero byte"):format(number))
    end
    words[number] = word
  end
  if #words == 0 then check.refuse(1, name, "a program is needed") end
  options = check.options(options, known, 1, name)
  check_strings(options, name)
  return words, options
end

--- "NAME=value" for all that the environment has: ours, and on top of it what is given (false: without that one).
local function environment_with(changes)
  if not changes then return nil end
  local variables = internal.programs.environment()
  for name, value in pairs(changes) do variables[name] = value or nil end
  local list = {}
  for name, value in pairs(variables) do list[#list + 1] = ("%s=%s"):format(name, value) end
  return list
end

-- --- popen ---

local Program = {}
Program.__index = Program
Program.__name = "program"

function Program.__tostring(self) return tostring(self.process) end

function Program:wait(timeout) return self.process:wait(timeout) end

function Program:is_alive() return self.process:is_alive() end

function Program:kill(signal) return self.process:kill(signal) end

function Program:close()
  for _, stream in ipairs({ "stdin", "stdout", "stderr" }) do
    if self[stream] then self[stream]:close() end
  end
  self.process:kill()
  self.process:release()
  neap.shield(self.process.wait, self.process)
end

--- Leaving a block well waits for the program; leaving it by an error ends it. The wait may fail too, as where the task
--- is cancelled. That error is not caught, only passed by: so variables further out may wait, as in any block that it
--- leaves.
local Ending = { __close = function(self) self.program:close() end }

function Program:__close(problem)
  local ending <close> = setmetatable({ program = self }, Ending) -- luacheck: ignore
  if problem ~= nil then return end
  if self.stdin then self.stdin:close() end
  self.process:wait()
end

--- `keep`: killing it kills what it has started also once it has ended itself, until it is released.
local function start(words, options, name, keep)
  local kinds = { options.stdin or "inherit", options.stdout or "inherit", options.stderr or "inherit" }
  local process, stdin, stdout, stderr = internal.programs.start(words, environment_with(options.env), options.cwd,
    kinds, options.group ~= false, keep)
  if not process then
    local message, code = stdin, stdout
    local folder = options.cwd and " in " .. options.cwd or ""
    return nil, ("cannot %s %s%s: %s"):format(name, words[1], folder, message), code
  end
  local program = { process = process, pid = process:pid(), stdin = stdin, stdout = stdout, stderr = stderr }
  return setmetatable(program, Program)
end

function neap.popen(command)
  local words, options = check_command(command, popen_options, "popen")
  return start(words, options, "start")
end

-- --- run ---

--- Writes all of it; that the program does not want it is its own business.
local function feed(stream, bytes)
  stream:write(bytes)
  stream:close()
end

local function drain(stream) return (stream:read("all")) end

function neap.run(command)
  local words, options = check_command(command, run_options, "run")
  local bytes, timeout = options.stdin, options.timeout
  options.stdin = bytes and "pipe" or "null"
  options.stdout, options.stderr = options.stdout or "pipe", options.stderr or "pipe"
  local program, message, code = start(words, options, "run", true)
  if not program then return nil, message, code end
  local finished
  finished, message, code = neap.timeout(timeout or math.huge, function()
    local closing <close> = program -- luacheck: ignore
    return neap.scope(function(scope)
      local out = program.stdout and scope:spawn(drain, program.stdout)
      local err = program.stderr and scope:spawn(drain, program.stderr)
      if bytes then scope:spawn(feed, program.stdin, bytes) end
      local result = program:wait()
      result.stdout, result.stderr = out and out:join(), err and err:join()
      program.process:release() -- what still runs of it has nothing to do with us, and may go on
      return result
    end)
  end)
  if not finished then return nil, message, code end
  return finished
end
