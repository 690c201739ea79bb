-- The prompt on a terminal, or on lines from a pipe or file: reads, has a session run what was typed, and sees to
-- interrupts.
--
-- READING  Where a terminal and libedit are there, keys are read one by one and the line is edited; elsewhere lines are
--          read as they come, without prompts unless somebody types them. Between two keys other tasks run.
-- NEWS     An interrupt, or that the line was taken off the screen, comes through a descriptor (bindings/console.c).
--          While something is evaluated only that is waited for: standard input belongs to what runs.
-- LEAVING  From a terminal one leaves in the orderly way of os.exit: what still runs is cancelled. At the end of a file
--          or pipe the prompt just ends, and the program goes on as after any main chunk.

local neap, internal = ...

local new_session = internal.load "neap.prompt.session"
local new_history = internal.load "neap.prompt.history"

local first_prompt, next_prompt = "> ", ">> "
local columns = 80 -- where nobody knows better

local Console = {}
Console.__index = Console

--- Options: `editing = false` forgoes libedit.
local function open_console(options)
  local console = internal.console()
  local self = setmetatable({
    console = console,
    typed = console.is_terminal(0),
    woken = neap.event(),
    readable = neap.event(),
  }, Console)
  local descriptor = assert(console.watch_terminal())
  self.wake_poll = console.poll(descriptor, self.woken)
  self.input_poll = console.poll(0, self.readable)
  self.wake_poll:start()
  if self.typed and console.is_terminal(1) and options.editing ~= false then self.editor = console.editor() end
  self.history = new_history(console, self.editor)
  return self
end

function Console:__close()
  if self.editor then self.editor:close() end
  self.input_poll:close()
  self.wake_poll:close()
  self.console.unwatch_terminal()
end

--- Takes the news; true if the user wants to interrupt.
function Console:take_news()
  self.woken:clear()
  local interrupted, hidden, resized, resumed = self.console.news()
  self.wake_poll:start()
  if self.editor and not interrupted then
    if resized then self.editor:resize() end
    if resumed then self.editor:resume() end
    if hidden then self.editor:show() end
  end
  return interrupted
end

--- Waits until input can be read: "input", or "interrupt".
function Console:await_input()
  self.readable:clear()
  self.input_poll:start()
  while true do
    local index = neap.select { self.woken, self.readable }
    if index == 2 then return "input" end
    if self:take_news() then return "interrupt" end
  end
end

--- Waits until a task has ended, and cancels it when the user asks for that.
function Console:await(task)
  while task:is_alive() do
    local index = neap.select { self.woken, task }
    if index == 1 and self:take_news() then task:cancel("interrupted") end
  end
end

-- --- reading ---

local function common_prefix(words)
  local prefix = words[1]
  for _, word in ipairs(words) do
    while word:sub(1, #prefix) ~= prefix do prefix = prefix:sub(1, -2) end
  end
  return prefix
end

local function in_columns(words, width)
  local widest = 0
  for _, word in ipairs(words) do widest = math.max(widest, #word) end
  local per_line, lines = math.max(1, width // (widest + 2)), {}
  for first = 1, #words, per_line do
    local cells = {}
    for i = first, math.min(first + per_line - 1, #words) do
      cells[#cells + 1] = words[i] .. (" "):rep(widest - #words[i])
    end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n") .. "\n"
end

--- Puts in what is sure of the word before the cursor; where nothing is, lists what may stand there.
function Console:complete(session, before)
  local start, words = session:complete(before)
  if #words == 0 then return end
  local word, prefix = before:sub(start), common_prefix(words)
  if #prefix > #word then
    self.editor:insert(prefix:sub(#word + 1))
  elseif #words > 1 then
    io.stdout:write(in_columns(words, self.console.width() or columns))
  end
end

--- An edited line: the text; "" and true when it was interrupted; nil at the end.
function Console:edit(prompt, session)
  local editor = self.editor
  editor:start(prompt)
  while true do
    if self:await_input() == "interrupt" then
      editor:stop("^C")
      return "", true
    end
    local what, text = editor:feed()
    if what == "line" then
      self.history:add(text)
      return text
    elseif what == "complete" then
      self:complete(session, text)
    elseif what == "end" then
      editor:stop()
      return nil
    end
  end
end

--- The same where nothing is edited.
function Console:read(prompt)
  if self.typed then io.stdout:write(prompt) io.stdout:flush() end
  while true do
    if self:await_input() == "interrupt" then
      if self.typed then io.stdout:write("\n") end
      return "", true
    end
    local line = self.console.read_line()
    if line then return line end
    if line == false then
      if self.typed then io.stdout:write("\n") end
      return nil
    end
  end
end

-- --- the loop ---

local function make_front(console)
  local front = { colour = console.editor ~= nil and (os.getenv("NO_COLOR") or "") == "" }
  function front.write(text) io.stdout:write(text) io.stdout:flush() end
  function front.write_error(text) io.stderr:write(text) end
  function front.width() return console.console.width() or columns end
  function front.await(task) console:await(task) end
  return front
end

local function greet(console)
  if not console.typed then return end
  io.stdout:write(("neap %s, %s. :help for help, Ctrl-D to leave.\n"):format(neap.version, _VERSION))
end

--- Reads and runs until the user leaves or no more comes.
local function converse(console, session)
  local prompt = first_prompt
  while true do
    local read = console.editor and console.edit or console.read
    local line, interrupted = read(console, prompt, session)
    if not line then
      session:finish()
      return
    end
    if interrupted then
      if not session:discard() and console.typed then io.stdout:write("(Ctrl-C again, or Ctrl-D, leaves)\n") end
      prompt = first_prompt
    else
      local state = session:feed(line)
      if state == "quit" then return end
      prompt = state == "more" and next_prompt or first_prompt
    end
  end
end

--- What fails in the background is told as what fails at the prompt is.
local function report_failures(session)
  neap.on_error(function(handle, err, traceback) session:report(err, traceback, handle.name .. " failed: ") end)
end

--- The main chunk of `neap -i`: (options, the function of the script or nil, its arguments). Options: editing.
return function(options, script, ...)
  local console <close> = open_console(options)
  local session = new_session(make_front(console))
  report_failures(session)
  greet(console)
  if script then session:run(script, nil, ...) end
  if rawget(_G, "neap") == nil then _G.neap = neap end
  converse(console, session)
  if console.typed then os.exit(0) end
end
