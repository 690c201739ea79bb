-- Prints what is added to log files, as it is added, like `tail -F`: also when one is rotated or cut short
-- meanwhile.
--
--   neap follow.lua                here: a log that is rotated at every hundred bytes
--   neap follow.lua FILE...        these files, from their ends on
--
-- Prints:
--   line 1
--   line 2
--   line 3
--   line 4
--   line 5
--   line 6
local neap = require "neap"

local PAUSE = 0.05 -- seconds between two looks

--- Hands all that is added to `path` to `take`, line by line, until `ended()` is true and nothing is left.
local function follow(path, from_start, take, ended)
  local file, inode, rest = nil, nil, ""
  local function open()
    file = neap.fs.open(path)
    inode = file and neap.fs.stat(path).inode
    if file and not from_start then file:seek("end") end
    from_start = true -- of those that take its place
  end
  local function read_all()
    local bytes = file:read(65536)
    while bytes do
      rest = (rest .. bytes):gsub("([^\n]*)\n", function(line) take(line) return "" end)
      bytes = file:read(65536)
    end
  end
  open()
  while true do
    local over = ended()
    if file then read_all() end
    local stat = neap.fs.stat(path)
    if stat and stat.inode ~= inode then -- another file has taken its place; the old one may have got more meanwhile
      if file then
        read_all()
        file:close()
      end
      open()
    elseif stat and file and stat.size < file:seek() then -- it was cut short
      file:seek("set", 0)
      rest = ""
    elseif over then
      return
    else
      neap.sleep(PAUSE)
    end
  end
end

-- --- a log, for show ---

local function show()
  local path = os.tmpname()
  neap.log.configure({file = {path = path, size = 100, keep = 1}})
  local writing, ahead = true, neap.semaphore(2) -- lines: what is rotated twice unread is lost
  neap.spawn(function()
    for number = 1, 6 do
      ahead:acquire()
      neap.log.info("line " .. number)
    end
    neap.log.flush()
    writing = false
  end)
  local function take(line)
    print(line:match("INFO  (.*)"))
    ahead:release()
  end
  follow(path, true, take, function() return not writing end)
  os.remove(path)
  os.remove(path .. ".1")
end

local paths = {...}
if #paths == 0 then return show() end
for _, path in ipairs(paths) do
  neap.spawn(follow, path, false, function(line) print(#paths > 1 and path .. ": " .. line or line) end, function() end)
end
