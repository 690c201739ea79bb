-- Checks that no file speaks of the machine that it was written on, nor leaves work undone.
-- usage: lua5.4 scripts/tools/check_words.lua, at the top of the tree

-- Absolute paths may only begin with what every system has.
local system_folders = {}
for folder in ("bin dev etc lib proc run sbin sys usr var"):gmatch("%a+") do system_folders[folder] = true end

-- Hosts that a comment or a document may point to.
local public_hosts = {}
for host in ([[
  clang.llvm.org docs.libuv.org en.wikipedia.org github.com keepachangelog.com libuv.org localhost luals.github.io
  man7.org semver.org www.lua.org 127.0.0.1
]]):gmatch("%S+") do public_hosts[host] = true end

-- In pieces, so that this file passes its own check.
local unfinished = { "TO" .. "DO", "FIX" .. "ME", "XX" .. "X" }

local complaints = 0

local function complain(place, text)
  complaints = complaints + 1
  io.stderr:write(place, ": ", text, "\n")
end

local function check_line(place, line)
  for _, word in ipairs(unfinished) do
    if line:find("%f[%w]" .. word .. "%f[%W]") then complain(place, "unfinished: " .. word) end
  end
  -- A path in a text: a slash after a space, a quote, a bracket or an equals sign.
  for path, folder in (" " .. line):gmatch("[%s\"'`(=<:]~?(/(%l[%w_.-]*)/[%w_.])") do
    if not system_folders[folder] then complain(place, "a path of one machine: " .. path) end
  end
  for host in line:gmatch("%l+://([%w.-]+)") do
    local is_nowhere = host:find("%.invalid$")
    if not public_hosts[host] and not is_nowhere then
      complain(place, "not a public host that this project points to: " .. host)
    end
  end
end

local function list_files()
  return io.popen("find . -name .git -prune -o -path ./build -prune -o -type f -print | sort")
end

local pipe <close> = assert(list_files())
for path in pipe:lines() do
  local number = 0
  for line in io.lines(path) do
    number = number + 1
    check_line(("%s:%d"):format(path:sub(3), number), line)
  end
end

os.exit(complaints == 0)
