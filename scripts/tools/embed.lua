-- Writes the given Lua files as one C file, for bindings/state/embedded.h.
-- usage: lua5.4 embed.lua FILE...
-- scripts/neap/class.lua becomes neap.class, scripts/prompt/show.lua neap.prompt.show, bindings/types/lock.lua
-- types.lock.

local bytes_per_line = 24
local prefixes = { neap = "neap.", prompt = "neap.prompt.", types = "types." } -- by folder

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function write_bytes(text)
  for start = 1, #text, bytes_per_line do
    local codes = { text:byte(start, start + bytes_per_line - 1) }
    io.write("    ", table.concat(codes, ","), ",\n")
  end
end

io.write("/* Written by scripts/tools/embed.lua. */\n")
io.write('#include "bindings/state/embedded.h"\n\n')

for index, path in ipairs(arg) do
  local text = read_file(path)
  -- Compiled here, so that a mistake in it fails the build and not the first run.
  assert(load(text, "@" .. path, "t"))
  io.write(("static const unsigned char text_%d[] = {\n"):format(index))
  write_bytes(text)
  io.write("    0};\n\n")
end

io.write("const struct neap_embedded neap_embedded[] = {\n")
for index, path in ipairs(arg) do
  local folder, name = path:match("([%w_]+)/([%w_]+)%.lua$")
  local prefix = assert(prefixes[folder], "not a file to be embedded: " .. path)
  io.write(('    {"%s%s", (const char *)text_%d, sizeof text_%d - 1},\n'):format(prefix, name, index, index))
end
io.write("    {0, 0, 0},\n};\n")
