--- A program on a terminal of its own, driven by tmux: what specs type, and what they then see on the screen.
--
--   local terminal <close> = open_terminal { command = "neap" }
--   terminal:type "1 + 1"
--   terminal:expect "2"
--
-- Nothing is timed: a key is sent, and what it brings about is waited for, under a hard limit.

local support = require "spec.support"
local quote = support.quote

local limit = support.sanitizer and 100 or 40 -- seconds that anything may take to appear
local life = 300 -- seconds after which a server that was left behind ends

local Terminal = {}
Terminal.__index = Terminal

local function run(self, arguments)
  local pipe <close> = assert(io.popen(("tmux -S %s %s 2>&1"):format(quote(self.socket), arguments)))
  return pipe:read("a")
end

--- Options: `command`, a command line; `environment`, a table of variables; `width`, `height` (80, 24). The home of the
-- program is an empty folder, `terminal.home`. When it has ended, "status N" stands on the screen.
function Terminal.open(options)
  local self = setmetatable({ home = os.tmpname() }, Terminal)
  os.remove(self.home)
  assert(os.execute("mkdir -p " .. quote(self.home)))
  self.socket = self.home .. "/tmux"
  local variables = { HOME = self.home, XDG_STATE_HOME = self.home, XDG_RUNTIME_DIR = self.home, NO_COLOR = "1" }
  for name, value in pairs(options.environment or {}) do variables[name] = value end
  local words = { "env" }
  for name, value in pairs(variables) do words[#words + 1] = name .. "=" .. quote(value) end
  -- The shell gets each Ctrl-C too, and goes on.
  local script = "trap : INT\n%s %s\necho status $?\nwhile :; do sleep 1000; done\n"
  support.write_file(self.home .. "/run.sh", script:format(table.concat(words, " "), options.command))
  run(self, ("-f /dev/null new-session -d -x %d -y %d %s"):format(options.width or 80, options.height or 24,
    quote("exec env --default-signal sh " .. quote(self.home .. "/run.sh"))))
  run(self, ("run-shell -b -d %d -C kill-server"):format(life))
  return self
end

--- Sends keys, by the names that tmux has for them: "Enter", "C-c", "Up".
function Terminal:press(...)
  local names = {}
  for i, name in ipairs { ... } do names[i] = quote(name) end
  run(self, "send-keys " .. table.concat(names, " "))
end

--- Types a text.
function Terminal:write(text) run(self, "send-keys -l -- " .. quote(text)) end

--- Types a line.
function Terminal:type(line)
  self:write(line)
  self:press("Enter")
end

--- What stands on the screen, without empty lines at its end.
function Terminal:screen() return (run(self, "capture-pane -p"):gsub("%s+$", "\n")) end

--- All that has been on the screen.
function Terminal:history() return run(self, "capture-pane -p -S -") end

--- Waits until `holds` is true of the screen, and returns that.
function Terminal:await(what, holds)
  local deadline = os.time() + limit
  while true do
    local screen = self:screen()
    if holds(screen) then return screen end
    if os.time() > deadline then error(("%s did not come; the screen is:\n%s"):format(what, screen), 3) end
    os.execute("sleep 0.03")
  end
end

--- Waits until the last lines of the screen are these.
function Terminal:expect(...)
  local wanted = table.concat({ ... }, "\n") .. "\n"
  return self:await(("%q at the end"):format(wanted), function(screen)
    return screen == wanted or screen:sub(-#wanted - 1) == "\n" .. wanted
  end)
end

--- Waits until a text stands anywhere on the screen.
function Terminal:find(text)
  return self:await(("%q"):format(text), function(screen) return screen:find(text, 1, true) end)
end

--- Presses a key again and again until a text stands on the screen.
function Terminal:insist(key, text)
  return self:await(("%q"):format(text), function(screen)
    if screen:find(text, 1, true) then return true end
    self:press(key)
  end)
end

function Terminal:resize(width, height) run(self, ("resize-window -x %d -y %d"):format(width, height)) end

function Terminal:__close()
  run(self, "kill-server")
  os.execute("rm -rf " .. quote(self.home))
end

return Terminal
