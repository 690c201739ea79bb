-- What was typed before, in a file: one line a line, the newest last.
--
-- It is $NEAP_HISTORY, or neap/history in $XDG_STATE_HOME (~/.local/state), whose folder is made for the user alone. An
-- empty NEAP_HISTORY keeps no file. A line that begins with a space is not kept: for secrets. Each line is appended as
-- it is typed, so that several prompts share the file; what is older than the last lines_at_most is dropped when one
-- starts.

local lines_at_most = 1000

local function find_path(console)
  local path = os.getenv("NEAP_HISTORY")
  if path then return path ~= "" and path or nil end
  local state, home = os.getenv("XDG_STATE_HOME"), os.getenv("HOME")
  if not state or state == "" then
    if not home or home == "" then return nil end
    state = home .. "/.local/state"
  end
  local folder = state .. "/neap"
  return console.make_folder(folder) and folder .. "/history" or nil
end

local function read_lines(path)
  local lines = {}
  local file <close> = io.open(path, "r")
  if not file then return lines end
  for line in file:lines() do lines[#lines + 1] = line end
  return lines
end

--- Writes the last lines to a new file and puts that in the place of the old one, so that it is whole at any time.
local function shorten(path, lines)
  local new_path = path .. ".new"
  local file = io.open(new_path, "w")
  if not file then return end
  for i = #lines - lines_at_most + 1, #lines do file:write(lines[i], "\n") end
  if file:close() then os.rename(new_path, path) else os.remove(new_path) end
end

local History = {}
History.__index = History

--- Remembers a line; an empty one, and one just like the last, is not worth it.
function History:add(line)
  if line:find("^%s") or line == "" or line == self.last then return end
  self.last = line
  self.editor:remember(line)
  if not self.path then return end
  local file <close> = io.open(self.path, "a")
  if file then file:write(line, "\n") end
end

--- Of an editor, which is told what the file holds; without one there is nothing to be remembered.
return function(console, editor)
  local self = setmetatable({ editor = editor }, History)
  if not editor then return self end
  self.path = find_path(console)
  if not self.path then return self end
  local lines = read_lines(self.path)
  for i = math.max(1, #lines - lines_at_most + 1), #lines do editor:remember(lines[i]) end
  self.last = lines[#lines]
  if #lines > 2 * lines_at_most then shorten(self.path, lines) end
  return self
end
