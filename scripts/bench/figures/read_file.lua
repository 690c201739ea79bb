-- Seconds to read a file of 1 GiB in pieces of 64 KiB, or to have cat do it; the best of three. The file is made when
-- it is not there.
-- usage: read_file.lua neap|cat PATH
local neap = require "neap"

local size <const>, piece <const> = 2 ^ 30, 64 * 1024
local how, path = arg[1], arg[2]

local info = neap.fs.stat(path)
if not info or info.size ~= size then
  local file <close> = assert(neap.fs.open(path, "w"))
  local bytes = ("0123456789abcdef"):rep(2 ^ 16)
  for _ = 1, size // #bytes do assert(file:write(bytes)) end
end

local function read_here()
  local file <close>, count = assert(neap.fs.open(path)), 0
  for bytes in function() return (file:read(piece)) end do count = count + #bytes end
  assert(count == size)
end

local function read_by_cat() assert(neap.run({ "cat", path, stdout = "null" }).code == 0) end

local read = how == "cat" and read_by_cat or read_here
local best = math.huge
for _ = 1, 3 do
  local start = neap.now()
  read()
  best = math.min(best, neap.now() - start)
end
print(best)
