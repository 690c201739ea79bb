-- Completion: what may stand where the cursor is. Nothing is called to find out: values are reached through raw fields,
-- tables of __index, and the methods that a handle's metatable shows.
--
--   complete(text before the cursor, { lookup = fn(name) -> value, names = fn() -> iterator }) -> start, candidates
--
-- `start` is where in the text the word begins that the candidates, sorted, are to take the place of.

local neap = ...

local keywords = {
  "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not",
  "or", "repeat", "return", "then", "true", "until", "while",
}
local links_at_most = 20 -- of a chain of __index

--- Is it the library, or a part of it? Some of these is loaded when it is asked for, or walked through.
local function is_ours(value)
  if value == neap then return true end
  for _, part in next, neap do
    if part == value then return type(part) == "table" end
  end
  return false
end

--- Where the fields of a value are found, in order.
local function sources_of(value)
  local sources = {}
  while value ~= nil and #sources < links_at_most do
    local metatable = debug.getmetatable(value)
    if type(value) == "table" then sources[#sources + 1] = value end
    if type(metatable) ~= "table" then break end
    local methods = rawget(metatable, "__methods") -- of handles with fields
    if type(methods) == "table" then sources[#sources + 1] = methods end
    value = rawget(metatable, "__index")
    if type(value) ~= "table" then break end
  end
  return sources
end

local function field_of(value, name)
  if is_ours(value) then return value[name] end
  for _, source in ipairs(sources_of(value)) do
    local field = rawget(source, name)
    if field ~= nil then return field end
  end
end

local function is_callable(value)
  if type(value) == "function" then return true end
  local metatable = debug.getmetatable(value)
  return type(metatable) == "table" and rawget(metatable, "__call") ~= nil
end

local function collect(value, prefix, only_callable, found)
  local function add(source, iterator, state, key)
    for name, field in iterator, state, key do
      if type(name) == "string" and name:find("^[%a_][%w_]*$") and name:sub(1, #prefix) == prefix
        and (not only_callable or is_callable(field)) and (prefix ~= "" or name:sub(1, 1) ~= "_") then
        found[name] = true
      end
    end
  end
  if is_ours(value) then return add(value, pairs(value)) end
  for _, source in ipairs(sources_of(value)) do add(source, next, source) end
end

--- The value before the word: "a.b" of "a.b:wo", a quoted string of `"x":wo`. Nil, and false if it cannot be known.
local function find_owner(text, scope)
  if text:find("[\"']%)?$") then return "", true end
  local path = text:match("[%a_][%w_%.]*$")
  local before = path and text:sub(1, -#path - 1)
  if not path or before:find("[%w%]%)\"':.]$") or path:find("%.%.") or path:find("%.$") then return nil, false end
  local value
  for name in path:gmatch("[^.]+") do
    if value == nil then value = scope.lookup(name) else value = field_of(value, name) end
    if value == nil then return nil, false end
  end
  return value, true
end

local function sorted(found)
  local names = {}
  for name in pairs(found) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function complete_name(prefix, scope)
  local found = {}
  for name in scope.names() do
    if type(name) == "string" and name:sub(1, #prefix) == prefix and (prefix ~= "" or name:sub(1, 1) ~= "_") then
      found[name] = true
    end
  end
  for _, word in ipairs(keywords) do
    if prefix ~= "" and word:sub(1, #prefix) == prefix then found[word] = true end
  end
  return sorted(found)
end

return function(text, scope)
  local before, sign, word = text:match("^(.-)([.:]?)([%a_]?[%w_]*)$")
  local start = #text - #word + 1
  if word == "" and sign == "" and before:find("[%w_]$") then return start, {} end
  if sign == "" or before:find("%.$") then return start, complete_name(word, scope) end
  local owner, is_known = find_owner(before, scope)
  local found = {}
  if is_known then collect(owner, word, sign == ":", found) end
  return start, sorted(found)
end
