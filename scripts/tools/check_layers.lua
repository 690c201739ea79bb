-- Checks that the arrows point down only: who may include or require whom.
-- usage: lua5.4 scripts/tools/check_layers.lua, at the top of the tree

-- What the C files of a folder may include with quotes, and which headers of others with angle brackets they may not.
local layers = {
  { folder = "engine/core", may_include = { "core/" }, engine = true },
  { folder = "engine/sync", may_include = { "core/", "sync/" }, engine = true },
  { folder = "engine/host", may_include = { "core/", "sync/", "host/" }, engine = true },
  { folder = "engine/io", may_include = { "core/", "io/" }, engine = true },
}
-- The folders of bindings, from below: each may include the engine, the public headers, its own folder, and these.
local kernel = { "state", "task", "handle", "codec", "report" } -- of the bindings; a ring
local folders = {
  { "state", kernel, "host/native.h" }, -- a new state knows the functions of its host
  { "task", kernel, "pool/worker.h" }, -- a worker's task that waits lends its place
  { "handle", kernel }, { "codec", kernel }, { "report", kernel },
  { "shared", kernel },
  { "running", kernel },
  { "sync", kernel, "io/file_watch.h" }, -- one of the things that select waits for
  { "io", kernel, "sync/" },
  { "pool", kernel, "sync/" },
  { "program", kernel, "running/" },
  { "host", kernel },
}
for _, folder in ipairs(folders) do
  local name, below, more = table.unpack(folder)
  local may_include = { "core/", "sync/", "host/", "io/", "bindings/" .. name .. "/" }
  for _, header in ipairs { "module.h", "neap.h", "version.h" } do table.insert(may_include, "bindings/" .. header) end
  for _, other in ipairs(below) do table.insert(may_include, "bindings/" .. other .. "/") end
  if more then table.insert(may_include, "bindings/" .. more) end
  table.insert(layers, { folder = "bindings/" .. name, may_include = may_include })
end
table.insert(layers, { folder = "bindings", may_include = { "core/", "sync/", "host/", "io/", "bindings/" } })
local lua_headers = { "^lua", "^lauxlib%.h$", "^lualib%.h$" }
-- The only C below scripts: what the benchmark measures with, and programs that use the library.
local c_in_scripts = { "scripts/bench/", "scripts/examples/hosts/" }
local top = {
  bindings = true, engine = true, scripts = true, spec = true,
  Makefile = true, ["README.md"] = true, LICENSE = true, ["CHANGELOG.md"] = true, build = true,
}

local complaints = 0

local function complain(place, text)
  complaints = complaints + 1
  io.stderr:write(place, ": ", text, "\n")
end

local function find_files(arguments)
  local files = {}
  local pipe <close> = assert(io.popen("find " .. arguments))
  for path in pipe:lines() do table.insert(files, path) end
  table.sort(files)
  return files
end

local function starts_with_any(text, prefixes)
  for _, prefix in ipairs(prefixes) do
    if text:sub(1, #prefix) == prefix then return true end
  end
  return false
end

local function check_include(layer, place, kind, header)
  if kind == '"' and not starts_with_any(header, layer.may_include) then
    complain(place, ("%s may not include %s"):format(layer.folder, header))
  end
  if layer.engine and kind == "<" then
    for _, pattern in ipairs(lua_headers) do
      if header:find(pattern) then complain(place, "the engine does not know Lua: " .. header) end
    end
  end
end

local function check_file(layer, path)
  local number = 0
  for line in io.lines(path) do
    number = number + 1
    local kind, header = line:match('^%s*#%s*include%s*(["<])([^">]+)')
    if kind then check_include(layer, ("%s:%d"):format(path, number), kind, header) end
  end
end

for _, layer in ipairs(layers) do
  for _, path in ipairs(find_files(layer.folder .. " -maxdepth 1 -name '*.[ch]'")) do check_file(layer, path) end
end

for _, path in ipairs(find_files("engine bindings scripts -type f")) do
  local is_c = path:find("%.[ch]$")
  local may_be_c = not path:find("^scripts/") or starts_with_any(path, c_in_scripts)
  if is_c and not may_be_c then complain(path, "scripts are Lua only") end
  if is_c and not path:find("^scripts/") then
    local is_known = false
    for _, layer in ipairs(layers) do is_known = is_known or path:match("^(.*)/") == layer.folder end
    if not is_known then complain(path, "this folder is no layer") end
  end
end

for _, path in ipairs(find_files(". -mindepth 1 -maxdepth 1 -not -name '.*'")) do
  if not top[path:sub(3)] then complain(path, "does not belong at the top") end
end

os.exit(complaints == 0)
