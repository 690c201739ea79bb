-- Files: neap.fs. What blocks is done in a pool of threads (bindings/io/files.c); here are the options and the walk.

local neap, internal = ...

local check, files = internal.load("neap.check"), internal.files

local fs = {}
neap.fs = fs

--- nil, message, code: the message says what could not be done.
local function tell(what, ...)
  local first, message, code = ...
  if first ~= nil or message == code then return ... end
  return nil, ("cannot %s: %s"):format(what, message), code
end

local function mode(value) return math.type(value) == "integer" and value >= 0 and value < 4096 or "file mode" end

local write_options = { mode = mode }
local stat_options = { follow = check.boolean }
local mkdir_options = { parents = check.boolean, mode = mode }
local remove_options = { recursive = check.boolean }

local function check_path(path, position, name)
  if type(path) ~= "string" then check.refuse(position, name, "path expected, got " .. type(path)) end
  if path:find("\0", 1, true) then check.refuse(position, name, "a path has no zero bytes") end
end

local function check_bytes(bytes, position, name)
  if type(bytes) ~= "string" then check.refuse(position, name, "string expected, got " .. type(bytes)) end
end

function fs.read(path)
  check_path(path, 1, "read")
  return tell("read " .. path, files.read(path))
end

function fs.write(path, bytes, options)
  check_path(path, 1, "write")
  check_bytes(bytes, 2, "write")
  options = check.options(options, write_options, 3, "write")
  return tell("write " .. path, files.write(path, bytes, options.mode))
end

function fs.append(path, bytes, options)
  check_path(path, 1, "append")
  check_bytes(bytes, 2, "append")
  options = check.options(options, write_options, 3, "append")
  return tell("append to " .. path, files.append(path, bytes, options.mode))
end

local modes = check.one_of("r", "w", "a", "r+", "w+", "a+")

function fs.open(path, how, options)
  check_path(path, 1, "open")
  local expected = how == nil or modes(how)
  if expected ~= true then check.refuse(2, "open", ("mode: %s expected, got %s"):format(expected, tostring(how))) end
  options = check.options(options, write_options, 3, "open")
  return tell("open " .. path, files.open(path, how, options.mode))
end

function fs.stat(path, options)
  check_path(path, 1, "stat")
  options = check.options(options, stat_options, 2, "stat")
  return tell("look at " .. path, files.stat(path, options.follow ~= false))
end

function fs.list(path)
  check_path(path, 1, "list")
  local names, message, code = files.list(path)
  if not names then return tell("list " .. path, nil, message, code) end
  table.sort(names)
  return names
end

function fs.mkdir(path, options)
  check_path(path, 1, "mkdir")
  options = check.options(options, mkdir_options, 2, "mkdir")
  return tell("make " .. path, files.mkdir(path, options.parents, options.mode))
end

function fs.remove(path, options)
  check_path(path, 1, "remove")
  options = check.options(options, remove_options, 2, "remove")
  return tell("remove " .. path, files.remove(path, options.recursive))
end

function fs.rename(from, to)
  check_path(from, 1, "rename")
  check_path(to, 2, "rename")
  return tell(("rename %s to %s"):format(from, to), files.rename(from, to))
end

function fs.copy(from, to)
  check_path(from, 1, "copy")
  check_path(to, 2, "copy")
  return tell(("copy %s to %s"):format(from, to), files.copy(from, to))
end

function fs.resolve(path)
  check_path(path, 1, "resolve")
  return tell("resolve " .. path, files.resolve(path))
end

--- A file is watched by its name in its folder: what takes its place is told of too.
function fs.watch(path)
  check_path(path, 1, "watch")
  local real, message, code = files.resolve(path)
  if not real then return tell("watch " .. path, nil, message, code) end
  local watch
  watch, message, code = files.watch(real, nil, path)
  if code == "ENOTDIR" then
    local folder, name = real:match("^(.*/)(.*)$")
    watch, message, code = files.watch(folder, name, path)
  end
  return tell("watch " .. path, watch, message, code)
end

-- --- walking ---

local function join(folder, name)
  if folder == "" or folder:sub(-1) == "/" then return folder .. name end
  return folder .. "/" .. name
end

--- A folder's entries in order: { path, type }, the last first, so that they can be taken from the end.
local function entries_of(folder)
  local names, types, code = files.list(folder)
  if not names then return tell("list " .. folder, nil, types, code) end
  local entries = {}
  for number, name in ipairs(names) do entries[number] = { join(folder, name), types[number] } end
  table.sort(entries, function(a, b) return a[1] > b[1] end)
  return entries
end

function fs.walk(path)
  check_path(path, 1, "walk")
  local first, message, code = entries_of(path)
  if not first then return nil, message, code end
  local stack = { first }
  return function()
    while stack[1] do
      local entries = stack[#stack]
      local entry = entries[#entries]
      if not entry then
        stack[#stack] = nil
      else
        local entry_path, kind = entry[1], entry[2]
        -- a folder that cannot be listed, or has gone meanwhile, is told of and has nothing in it
        local inner = kind == "folder" and entries_of(entry_path) or nil
        entries[#entries] = nil -- not before: the waiting may be cancelled
        stack[#stack + 1] = inner
        return entry_path, kind
      end
    end
  end
end
