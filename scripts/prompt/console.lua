-- The console: lines from a terminal, edited where libedit is there, or from a pipe or file as they come; interrupts;
-- and waiting for something that an interrupt stops.
--
-- Between two keys other tasks run. An interrupt, or that the line was taken off the screen, comes through a descriptor
-- (bindings/program/console.c). Standard input is read only while a line is wanted: else it belongs to what runs.

local neap, internal = ...

local new_history = internal.load "neap.prompt.history"

local columns = 80 -- where nobody knows better
local words_at_most = 100 -- of a list of what may stand there

local Console = {}
Console.__index = Console

--- A to-be-closed value. `ended`, if given, is an event that ends the input when it is set.
local function open_console(ended)
  local console = internal.console()
  local self = setmetatable({
    console = console,
    typed = console.is_terminal(0),
    woken = neap.event(),
    readable = neap.event(),
    ended = ended or neap.event(),
  }, Console)
  local descriptor = assert(console.watch_terminal())
  self.wake_poll = console.poll(descriptor, self.woken)
  self.input_poll = console.poll(0, self.readable)
  self.wake_poll:start()
  if self.typed and console.is_terminal(1) then self.editor = console.editor() end
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

--- Waits until input can be read: "input"; or "interrupt", or "end".
function Console:await_input()
  self.readable:clear()
  self.input_poll:start()
  while true do
    local index = neap.select { self.woken, self.readable, self.ended }
    if index == 2 then return "input" end
    if index == 3 then return "end" end
    if self:take_news() then return "interrupt" end
  end
end

--- Waits for a case of neap.select, and returns what comes of it. `on_interrupt` is called when the user asks for that.
function Console:await(case, on_interrupt)
  while true do
    local index, value, message = neap.select { self.woken, case }
    if index == 2 then return value, message end
    if self:take_news() then on_interrupt() end
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
  local count = math.min(#words, words_at_most)
  for first = 1, count, per_line do
    local cells = {}
    for i = first, math.min(first + per_line - 1, count) do
      cells[#cells + 1] = words[i] .. (" "):rep(widest - #words[i])
    end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  if #words > count then lines[#lines + 1] = ("... %d more"):format(#words - count) end
  return table.concat(lines, "\n") .. "\n"
end

--- Puts in what is sure of the word before the cursor; where nothing is, lists what may stand there. At the beginning
-- of a line it indents: so code that has tabs can be pasted.
function Console:complete(session, before)
  if before:find("^%s*$") then return self.editor:insert("  ") end
  local start, words = session:complete(before)
  if #words == 0 then return end
  local word, prefix = before:sub(start), common_prefix(words)
  if #prefix > #word then
    self.editor:insert(prefix:sub(#word + 1))
  elseif #words > 1 then
    io.stdout:write(in_columns(words, self:width()))
  end
end

function Console:edit(prompt, session)
  local editor = self.editor
  editor:start(prompt)
  while true do
    local came = self:await_input()
    if came == "interrupt" then
      editor:stop("^C")
      return "", true
    end
    local what, text = "end", nil
    if came == "input" then what, text = editor:feed() end
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
  self:say(prompt)
  while true do
    local came = self:await_input()
    local line = false
    if came == "input" then line = self.console.read_line() end
    if line then return line end
    if line == false then
      self:say("\n")
      if came == "interrupt" then return "", true end
      return nil
    end
  end
end

--- Tells the one who types, if somebody does; wherever the output goes.
function Console:say(text)
  if not self.typed then return end
  local file = self.console.is_terminal(1) and io.stdout or io.stderr
  file:write(text)
  file:flush()
end

--- How many columns there are.
function Console:width() return self.console.width() or columns end

--- Are colours wanted?
function Console:has_colour() return self.editor ~= nil and (os.getenv("NO_COLOR") or "") == "" end

--- The next line: the text; "" and true when it was interrupted; nil at the end.
function Console:next_line(prompt, session)
  if self.editor then return self:edit(prompt, session) end
  return self:read(prompt)
end

return open_console
