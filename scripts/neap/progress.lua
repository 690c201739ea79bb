-- A bar on stderr that shows how far a piece of work has come: one line, written anew, at most ten times a second.

local neap, internal = ...

local width, pause = 30, 0.1

local bar = {}
bar.__index = bar

local function write(self)
  local share = self.total == 0 and 1 or self.done / (self.total or 1)
  local filled = math.floor(share * width)
  if self.total then
    io.stderr:write(("\r[%s%s] %3d%% %d/%d"):format(("#"):rep(filled), (" "):rep(width - filled),
      math.floor(share * 100), self.done, self.total))
  else
    io.stderr:write(("\r%d"):format(self.done))
  end
  self.written = neap.now()
end

--- So many more are done.
function bar:add(count)
  self.done = self.done + count
  if self.done == self.total or neap.now() - self.written >= pause then write(self) end
end

function bar:__close() io.stderr:write("\n") end

--- (total, or nil if it is not known): a to-be-closed value with the method add; nil where nobody looks.
return function(total)
  if not internal.is_terminal() then return nil end
  local self = setmetatable({ done = 0, total = total, written = 0 }, bar)
  write(self)
  return self
end
