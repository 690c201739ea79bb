-- Compares the annotations in bindings/types with the loaded module, both ways: what is there must be annotated, and
-- what is annotated must be there.
-- usage: build/neap scripts/tools/check_types.lua, at the top of the tree

local neap = require "neap"

local complaints = {}

local function complain(format, ...) table.insert(complaints, format:format(...)) end

-- --- what is annotated ---

-- By class name in lower case without underscores: { name, place, parents, methods, fields }.
local annotated = {}

local function key_of(class_name) return (class_name:lower():gsub("_", "")) end

local function declare_class(name, parents, place)
  local key = key_of(name)
  local class = annotated[key] or { name = name, place = place, parents = {}, methods = {}, fields = {} }
  for parent in (parents or ""):gmatch("[%w_.]+") do table.insert(class.parents, parent) end
  annotated[key] = class
  return class
end

local function read_field(class, text, place)
  local name, mark, type_name = text:match("^([%a_][%w_]*)(%??)%s+(.*)$")
  if not name then return end -- an index signature: [integer] ...
  if type_name:match("^%w+%s+[%a_]") and not type_name:match("^fun") then
    local scope, rest = text:match("^(%w+)%s+(.*)$")
    if scope == "public" or scope == "private" or scope == "protected" then return read_field(class, rest, place) end
  end
  if type_name:find("^fun") then
    class.methods[name] = place
  else
    local optional = mark == "?" or type_name:find("^[%w_.]+%?") or type_name:find("^nil")
    class.fields[name] = { place = place, optional = optional }
  end
end

-- A file: classes with their fields, and right under each the variable that stands for it, whose functions count.
local function read_annotations(path)
  local by_variable, class, fresh = {}, nil, false
  local number = 0
  for line in io.lines(path) do
    number = number + 1
    local place = ("%s:%d"):format(path, number)
    local name, parents = line:gsub("%(%a+%)", "", 1):match("^%-%-%-@class%s+([%w_.]+)%s*:?%s*([%w_.,%s]*)")
    local field = line:match("^%-%-%-@field%s+(.*)$")
    local variable = line:gsub("^local%s+", ""):match("^([%a_][%w_.]*)%s*=%s*{}")
    local owner, member = line:match("^function%s+([%a_][%w_.]*)[.:]([%a_][%w_]*)%s*%(")
    local assigned_owner, assigned = line:match("^([%a_][%w_]*)%.([%a_][%w_]*)%s*=")
    if name then
      class, fresh = declare_class(name, parents, place), true
    elseif field and class then
      read_field(class, field, place)
    elseif variable and fresh then
      by_variable[variable] = class
    elseif owner and by_variable[owner] then
      by_variable[owner].methods[member] = place
    end
    if assigned and by_variable[assigned_owner] then
      by_variable[assigned_owner].fields[assigned] = { place = place, optional = false }
    end
    if not line:find("^%-%-%-") then fresh = false end
  end
end

local function list_types()
  local paths = {}
  local pipe <close> = assert(io.popen("find bindings/types -name '*.lua'"))
  for path in pipe:lines() do table.insert(paths, path) end
  table.sort(paths)
  return paths
end

--- The members of a class and of all that it inherits from.
local function collect_members(class, methods, fields)
  methods, fields = methods or {}, fields or {}
  for name, place in pairs(class.methods) do methods[name] = methods[name] or place end
  for name, field in pairs(class.fields) do fields[name] = fields[name] or field end
  for _, parent in ipairs(class.parents) do
    local parent_class = annotated[key_of(parent)]
    if parent_class then collect_members(parent_class, methods, fields) end
  end
  return methods, fields
end

-- --- what is there ---

local function nothing() end

-- How to make one handle of each kind.
local constructors = {
  "channel", "queue", "pipe", "lock", "rlock", "rwlock", "condition", "semaphore", "bounded_semaphore", "event",
  "dict", "list",
  array = { "i32", 3 }, buffer = { 3 }, barrier = { 1 },
  spawn = { nothing }, thread = { nothing }, timer = { 0, nothing }, value = { "i32" },
}

--- Handles by the name that their metatable gives. A constructor that is not there is for compare_module to notice.
local function make_samples()
  local samples = {}
  local function add(handle) samples[debug.getmetatable(handle).__name] = handle end
  for key, value in pairs(constructors) do
    local name, arguments = key, value
    if type(key) == "number" then name, arguments = value, {} end
    if neap[name] then add((neap[name](table.unpack(arguments)))) end
  end
  if neap.scope then neap.scope(add) end
  local listener = neap.net.listen("127.0.0.1", 0)
  add(listener)
  add(neap.net.connect(listener:address()))
  add(neap.net.udp())
  if neap.pool then
    local pool <close> = neap.pool(1)
    add(pool)
    add(pool:submit(nothing))
  end
  return samples
end

--- The methods of a handle, wherever its metatable keeps them, and of its class form (neap.Thread), if it has one.
local function methods_of(handle, class_form)
  local metatable = debug.getmetatable(handle)
  local methods = metatable.__methods or metatable.__index
  assert(type(methods) == "table", "no methods are to be seen in " .. tostring(metatable.__name))
  local all = {}
  for name, value in pairs(type(class_form) == "table" and class_form or {}) do all[name] = value end
  for name, value in pairs(methods) do all[name] = value end
  return all
end

-- --- the comparison ---

-- What is annotated comes first: the module loads some of its functions when they are first asked for.
local function compare_methods(label, there, methods)
  for name, place in pairs(methods) do
    if type(there[name]) ~= "function" then complain("%s: %s%s is annotated and not there", place, label, name) end
  end
  for name, value in pairs(there) do
    if type(name) == "string" and type(value) == "function" and name:sub(1, 1) ~= "_" and not methods[name] then
      complain("%s%s is there and not annotated in bindings/types", label, name)
    end
  end
end

local function compare_fields(label, there, fields)
  for name, field in pairs(fields) do
    local done, value = pcall(function() return there[name] end)
    if not done or (value == nil and not field.optional) then
      complain("%s: %s%s is annotated and not there", field.place, label, name)
    end
  end
end

local function compare_handles()
  for name, handle in pairs(make_samples()) do
    local class = annotated["neap." .. key_of(name)]
    if class then
      local methods, fields = collect_members(class)
      compare_methods(name .. ":", methods_of(handle, neap[class.name:match("[^.]+$")]), methods)
      compare_fields(name .. ".", handle, fields)
    else
      complain("handles of the kind %s have no ---@class neap.%s in bindings/types", name, name)
    end
  end
end

local function compare_module()
  local class = annotated["neap"]
  if not class then return complain("bindings/types has no ---@class neap") end
  local methods, fields = collect_members(class)
  compare_methods("neap.", neap, methods)
  compare_fields("neap.", neap, fields)
  for name, value in pairs(neap) do
    if type(value) ~= "function" and name:sub(1, 1) ~= "_" and not fields[name] then
      complain("neap.%s (a %s) is there and not annotated in bindings/types", name, type(value))
    end
  end
end

for _, path in ipairs(list_types()) do read_annotations(path) end
compare_module()
compare_handles()
table.sort(complaints)
for _, complaint in ipairs(complaints) do io.stderr:write(complaint, "\n") end
os.exit(#complaints == 0)
