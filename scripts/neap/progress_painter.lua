-- The painter of bars: a thread that looks at them ten times a second while there are any.
--
-- On a terminal they stand below everything else that is printed (host/screen.h). Elsewhere lines are printed, few:
-- when a tenth more is done and a second has passed, or ten seconds have. When the program ends the thread is
-- cancelled: what is left of the bars is printed, and it ends.

local neap, internal = ...

local footer = internal.footer

local PAUSE = 0.1 -- seconds between two looks
local LINE_PAUSE, LINE_PATIENCE, LINE_SHARE = 1, 10, 0.1
local MEMORY = 5 -- seconds that the rate looks back
local BAR_WIDTH, BAR_LEAST = 30, 5

-- --- texts ---

local function write_seconds(seconds)
  seconds = math.floor(seconds + 0.5)
  local minutes = seconds // 60
  if minutes < 60 then return ("%d:%02d"):format(minutes, seconds % 60) end
  return ("%d:%02d:%02d"):format(minutes // 60, minutes % 60, seconds % 60)
end

local prefixes = { "", "k", "M", "G", "T", "P" }

--- Bytes, as "1.2 MB".
local function write_bytes(count)
  local size, at = count, 1
  while size >= 999.5 and prefixes[at + 1] do size, at = size / 1000, at + 1 end
  return (at > 1 and size < 9.95 and "%.1f %sB" or "%.0f %sB"):format(size, prefixes[at])
end

local function write_rate(rate, unit)
  if unit == "B" then return write_bytes(rate) .. "/s" end
  return (rate < 1 and "%.2f/s" or rate < 10 and "%.1f/s" or "%.0f/s"):format(rate)
end

local function write_counts(bar)
  if bar.unit == "B" then
    return bar.total and write_bytes(bar.done) .. "/" .. write_bytes(bar.total) or write_bytes(bar.done)
  end
  local counts = bar.total and ("%d/%d"):format(bar.done, bar.total) or tostring(bar.done)
  return bar.unit and counts .. " " .. bar.unit or counts
end

local function share_of(bar)
  if bar.total == 0 then return 1 end
  return math.max(0, math.min(1, bar.done / bar.total))
end

--- The text right of the bar.
local function write_figures(bar, now)
  local parts = {}
  local function add(text) parts[#parts + 1] = text end
  if bar.total then add(("%3d%%"):format(math.floor(share_of(bar) * 100))) end
  add(write_counts(bar))
  local elapsed = (bar.ended or now) - bar.since
  if bar.ended then
    if elapsed >= PAUSE then add(write_rate(bar.done / elapsed, bar.unit)) end
    add("in " .. write_seconds(elapsed))
  elseif bar.rate and bar.rate > 0 then
    add(write_rate(bar.rate, bar.unit))
    if bar.total then add(write_seconds(math.max(0, bar.total - bar.done) / bar.rate) .. " left") end
  end
  if not bar.total and not bar.ended then add(write_seconds(elapsed)) end
  return table.concat(parts, " ")
end

--- No more than `columns` characters.
local function cut(text, columns)
  local characters = utf8.len(text)
  if not characters then return text:sub(1, columns) end
  return characters > columns and text:sub(1, utf8.offset(text, columns + 1) - 1) or text
end

--- Where there is not room for all, the figures come before the label.
local function write_line(bar, now, columns)
  local figures = write_figures(bar, now)
  local label = bar.label and cut(bar.label, math.max(0, columns - #figures - 2)) .. " " or ""
  local room = math.min(BAR_WIDTH, columns - (utf8.len(label) or #label) - #figures - 4)
  if not bar.total or room < BAR_LEAST then return cut(label .. figures, columns - 1) end
  local filled = math.floor(share_of(bar) * room)
  return cut(("%s[%s%s] %s"):format(label, ("#"):rep(filled), (" "):rep(room - filled), figures), columns - 1)
end

--- A line where there is no terminal.
local function write_plain(bar, now)
  return (bar.label and bar.label .. ": " or "") .. write_figures(bar, now):gsub("^%s+", "")
end

-- --- bars ---

--- Reads what others have counted.
local function look(bar, now)
  local done, total = bar.counts[1], bar.counts[2]
  local passed = now - bar.looked
  if passed >= PAUSE / 2 then
    local rate = (done - bar.done) / passed
    local weight = bar.rate and 1 - math.exp(-passed / math.min(MEMORY, now - bar.since)) or 1
    bar.rate = (bar.rate or 0) * (1 - weight) + rate * weight
    bar.looked, bar.done = now, done
  end
  if done == total then bar.ended = bar.ended or now elseif not bar.closed then bar.ended = nil end
  if bar.ended then bar.done = done end
  bar.total = total >= 0 and total or nil
end

local function find(bars, counts)
  for at, bar in ipairs(bars) do
    if bar.counts == counts then return bar, at end
  end
end

--- Prints `line` above the bars that are left; they are drawn anew.
local function draw(bars, now, line)
  local columns, rows = footer.size()
  local lines = {}
  for at = 1, math.min(#bars, rows - 2) do lines[at] = write_line(bars[at], now, columns) end
  if #bars > #lines then lines[#lines] = ("and %d more"):format(#bars - #lines + 1) end
  footer.draw(line and line .. "\n" or "", table.concat(lines, "\n"))
end

local function print_line(text)
  if io.stderr then io.stderr:write(text, "\n") end
end

--- Is it time for a line of this bar, where there is no terminal?
local function is_due(bar, now)
  local passed = now - bar.printed_at
  if passed >= LINE_PATIENCE then return true end
  return passed >= LINE_PAUSE and bar.total and share_of(bar) - bar.printed_share >= LINE_SHARE
end

local function print_due(bars, now)
  for _, bar in ipairs(bars) do
    if is_due(bar, now) then
      bar.printed_at, bar.printed_share = now, bar.total and share_of(bar) or 0
      print_line(write_plain(bar, now))
    end
  end
end

local function show(bars)
  local now = neap.now()
  for _, bar in ipairs(bars) do look(bar, now) end
  if internal.is_terminal() then draw(bars, now) else print_due(bars, now) end
end

--- A bar goes; what it has come to stays, as a line, if that is wanted.
local function leave(bars, at)
  local bar, now = table.remove(bars, at), neap.now()
  bar.closed, bar.ended = true, bar.ended or now
  look(bar, now)
  if internal.is_terminal() then
    draw(bars, now, bar.keep and write_line(bar, now, (footer.size())))
  elseif bar.keep then
    print_line(write_plain(bar, now))
  end
end

-- --- messages ---

local function clean(label) return label and label:gsub("%c", " ") end

local handlers = {}

function handlers.open(bars, message)
  local now = neap.now()
  bars[#bars + 1] = {
    counts = message.counts, label = clean(message.label), unit = message.unit, keep = message.keep,
    done = 0, since = now, looked = now, printed_at = now, printed_share = 0,
  }
  show(bars)
end

function handlers.label(bars, message)
  local bar = find(bars, message.counts)
  if bar then bar.label = clean(message.label) end
end

function handlers.close(bars, message)
  local bar, at = find(bars, message.counts)
  if bar then leave(bars, at) end
  message.done:set()
end

local function handle(bars, message) handlers[message[1]](bars, message) end

local function work(bars, inbox)
  local due = 0
  while true do
    local message, problem = inbox:get(bars[1] and math.max(0, due - neap.now()) or nil)
    if message then
      neap.shield(handle, bars, message)
    elseif problem == "closed" then
      return
    else
      show(bars)
      due = neap.now() + PAUSE
    end
    if message and message[1] == "open" then due = neap.now() + PAUSE end
  end
end

local function run(inbox, begun)
  local bars = {}
  begun:set()
  local ended, err = pcall(work, bars, inbox)
  neap.shield(function()
    inbox:close()
    for message in inbox:iter() do handle(bars, message) end
    while bars[1] do leave(bars, 1) end
  end)
  if not ended and not neap.is_cancelled(err) then error(err, 0) end
end

return { run = run }
