-- The lines of a log: as text, and as JSON.

local neap, internal = ...

local format = {}

local DEPTH = 8 -- of tables in fields

-- --- values ---

local function text_of(value)
  local made, text = pcall(tostring, value)
  return made and text or ("%s (its __tostring failed)"):format(type(value))
end

local plain_types = { string = true, number = true, boolean = true }

local function copy(value, depth)
  if plain_types[type(value)] or value == neap.null then return value end
  if type(value) ~= "table" or (getmetatable(value) or {}).__tostring then return text_of(value) end
  if depth == 0 then return "..." end
  local result = {}
  for key, each in next, value do
    result[plain_types[type(key)] and key or text_of(key)] = copy(each, depth - 1)
  end
  return result
end

--- A copy of a table of fields, of plain values only.
function format.copy(fields)
  local result = {}
  for name, value in next, fields do result[text_of(name)] = copy(value, DEPTH) end
  return result
end

-- --- JSON ---

local short = { ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
short['"'], short["\\"] = '\\"', "\\\\"

local function escape(character) return short[character] or ("\\u%04x"):format(character:byte()) end

--- Bytes that are no UTF-8 become U+FFFD.
local function mend(text)
  local pieces, at = {}, 1
  while true do
    local length, wrong = utf8.len(text, at)
    if length then break end
    pieces[#pieces + 1] = text:sub(at, wrong - 1)
    pieces[#pieces + 1] = "\u{FFFD}"
    at = wrong + 1
  end
  pieces[#pieces + 1] = text:sub(at)
  return table.concat(pieces)
end

local function quote(text)
  if text:find('[%c"\\\127]') then text = text:gsub('[%c"\\\127]', escape) end
  if not utf8.len(text) then text = mend(text) end
  return '"' .. text .. '"'
end

local function write_number(number)
  if math.type(number) == "integer" then return ("%d"):format(number) end
  if number ~= number or number == math.huge or number == -math.huge then return quote(tostring(number)) end
  local text = ("%.15g"):format(number)
  return tonumber(text) == number and text or ("%.17g"):format(number)
end

local write

local function write_list(list)
  local items = {}
  for i, item in ipairs(list) do items[i] = write(item) end
  return "[" .. table.concat(items, ",") .. "]"
end

local function sorted_names(fields)
  local list = {}
  for name in next, fields do list[#list + 1] = name end
  table.sort(list, function(a, b) return tostring(a) < tostring(b) end)
  return list
end

local function write_table(value)
  local count = 0
  for _ in next, value do count = count + 1 end
  if count > 0 and count == #value then return write_list(value) end
  local items = {}
  for i, name in ipairs(sorted_names(value)) do items[i] = quote(tostring(name)) .. ":" .. write(value[name]) end
  return "{" .. table.concat(items, ",") .. "}"
end

function write(value)
  local kind = type(value)
  if kind == "string" then return quote(value) end
  if kind == "number" then return write_number(value) end
  if kind == "boolean" then return tostring(value) end
  if value == neap.null then return "null" end
  return write_table(value)
end

-- --- lines ---

local stamp_second, stamp_text, stamp_zone

--- The time as ISO 8601 has it, with thousandths.
local function stamp()
  local second, thousandth = internal.clock()
  if second ~= stamp_second then
    stamp_second, stamp_text = second, os.date("%Y-%m-%dT%H:%M:%S", second)
    stamp_zone = os.date("%z", second):gsub("(%d%d)$", ":%1")
  end
  return ("%s.%03d%s"):format(stamp_text, thousandth, stamp_zone)
end

local colours = { debug = "\27[90m", info = "\27[32m", warn = "\27[33m", error = "\27[31m" }

--- Fields whose values are what words are made of stand bare.
local function write_field(value)
  if type(value) == "string" and value:find("^[%w_./:@+%%-]+$") then return value end
  return write(value)
end

local writers = {}

function writers.text(level, time, text, fields, colour)
  local before, after = "", ""
  if colour then before, after = colours[level], "\27[0m" end
  local parts = { ("%s %s%-5s%s %s"):format(time, before, level:upper(), after, (text:gsub("%c", escape))) }
  for _, name in ipairs(sorted_names(fields)) do
    parts[#parts + 1] = ("%s=%s"):format(name:gsub("[%s%c=\"]", "_"), write_field(fields[name]))
  end
  return table.concat(parts, " ") .. "\n"
end

local own = { time = true, level = true, message = true }

function writers.json(level, time, text, fields)
  local parts = { ('{"time":"%s","level":"%s","message":%s'):format(time, level, quote(text)) }
  for _, name in ipairs(sorted_names(fields)) do
    parts[#parts + 1] = quote(own[name] and name .. "_" or name) .. ":" .. write(fields[name])
  end
  return table.concat(parts, ",") .. "}\n"
end

--- What is sent to the writer of `sink`.
function format.item(sink, level, text, fields, context)
  local time, all = stamp(), fields and format.copy(fields) or {}
  text = text_of(text)
  for name, value in next, context or {} do
    if all[name] == nil then all[name] = value end
  end
  local stderr, file = sink.stderr, sink.file
  local for_stderr = stderr and writers[stderr.format](level, time, text, all, stderr.colour)
  local for_file = file and writers[file.format](level, time, text, all, false)
  if for_stderr and for_file and for_stderr ~= for_file then return { for_stderr, for_file } end
  return for_stderr or for_file or ""
end

return format
