-- Values as a person wants to read them: tables on one line if they fit, indented if not, keys sorted, cycles shown,
-- and what is too much cut. Of a value nothing but __tostring and __name is asked: no other metamethod runs.
--
--   show(value, { width = 80, colour = false, depth = 6, items = 100, bytes = 2000 }) -> text
--
-- First a tree of nodes is built, each with the length that it has on one line; then it is laid out. A node is a leaf
-- { text, length } or a table { parts, length, prefix }, whose parts are nodes with a key text before each.

local defaults = { width = 80, colour = false, depth = 6, items = 100, bytes = 2000 }
local items_in_all = 2000 -- of all tables together
local sorted_at_most = 10000 -- keys of one table
local indentation = 2
local small = 20 -- columns: such values of a sequence share lines

local colours = {
  ["string"] = "\27[32m", ["number"] = "\27[36m", ["boolean"] = "\27[35m", ["nil"] = "\27[35m",
  ["function"] = "\27[33m", ["userdata"] = "\27[33m", ["thread"] = "\27[33m", note = "\27[2m",
}
local no_colour = "\27[0m"

local reserved = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
  while]]):gmatch("%a+") do
  reserved[word] = true
end

-- --- leaves ---

local escapes = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

local function escape(byte) return escapes[byte] or ("\\x%02x"):format(byte:byte()) end

local function quote(text)
  local quoted = text:gsub('[%c\\"]', escape)
  if not utf8.len(text) then quoted = quoted:gsub("[\128-\255]", escape) end
  return '"' .. quoted .. '"'
end

--- How many columns a text takes, near enough.
local function length_of(text) return utf8.len(text) or #text end

local function make_leaf(state, text, kind)
  local length = length_of(text)
  if state.colour and colours[kind] then text = colours[kind] .. text .. no_colour end
  return { text = text, length = length }
end

local function show_string(state, text)
  if #text <= state.bytes then return make_leaf(state, quote(text), "string") end
  local last = utf8.len(text) and utf8.offset(text, 0, state.bytes + 1) - 1 or state.bytes
  local leaf = make_leaf(state, quote(text:sub(1, last)), "string")
  local note = make_leaf(state, ("... (%d bytes)"):format(#text), "note")
  return { text = leaf.text .. note.text, length = leaf.length + note.length }
end

local function show_function(state, value)
  local info = debug.getinfo(value, "S")
  local place = info.what == "C" and "in C" or ("%s:%d"):format(info.short_src, info.linedefined)
  return make_leaf(state, ("%s (%s)"):format(tostring(value), place), "function")
end

--- What a value says of itself; nil if it has nothing to say.
local function ask(state, value, metatable)
  if type(metatable) ~= "table" or rawget(metatable, "__tostring") == nil then return nil end
  local done, text = pcall(tostring, value)
  if done then
    if #text > state.bytes then text = text:sub(1, state.bytes) .. "..." end
    return make_leaf(state, text, "userdata")
  end
  return make_leaf(state, ("<__tostring failed: %s>"):format(tostring(text)), "note")
end

-- --- tables ---

local ranks = { number = 1, string = 2, boolean = 3 }

local function comes_before(a, b)
  local rank_a, rank_b = ranks[type(a)] or 4, ranks[type(b)] or 4
  if rank_a ~= rank_b then return rank_a < rank_b end
  if rank_a <= 2 then return a < b end
  return tostring(a) < tostring(b)
end

--- The keys that are not in the sequence 1 .. count, sorted.
local function other_keys(value, count)
  local keys = {}
  for key in next, value do
    if not (math.type(key) == "integer" and key >= 1 and key <= count) then keys[#keys + 1] = key end
  end
  if #keys <= sorted_at_most then pcall(table.sort, keys, comes_before) end -- a __tostring may raise
  return keys
end

local node_of

local function is_name(key) return type(key) == "string" and key:find("^[%a_][%w_]*$") and not reserved[key] end

local function path_step(key)
  if is_name(key) then return "." .. key end
  return type(key) == "string" and "[" .. quote(key) .. "]" or ("[%s]"):format(tostring(key))
end

local function key_text(state, key)
  if is_name(key) then return key, #key end
  local leaf
  if type(key) == "string" then
    leaf = show_string(state, key)
  elseif type(key) == "table" then -- its contents would be in the way
    leaf = ask(state, key, debug.getmetatable(key)) or make_leaf(state, tostring(key), "note")
  else
    leaf = node_of(state, key, 0, "")
  end
  return "[" .. leaf.text .. "]", leaf.length + 2
end

--- Adds one field; false when there have been enough.
local function add_part(state, node, key, value, depth, path)
  if #node.parts >= state.items or state.left <= 0 then return false end
  state.left = state.left - 1
  local label, label_length = "", 0
  if key ~= nil then
    label, label_length = key_text(state, key)
    label, label_length = label .. " = ", label_length + 3
  end
  local step = key == nil and ("[%d]"):format(#node.parts + 1) or path_step(key)
  local part = node_of(state, value, depth + 1, path .. step)
  node.parts[#node.parts + 1] = { label = label, node = part, label_length = label_length }
  node.length = node.length + label_length + part.length + (#node.parts > 1 and 2 or 0)
  return true
end

local function add_note(state, node, text)
  local leaf = make_leaf(state, text, "note")
  node.parts[#node.parts + 1] = { label = "", node = leaf, label_length = 0 }
  node.length = node.length + leaf.length + 2
end

local function show_table(state, value, depth, path, prefix)
  local inside = state.inside
  if inside[value] then return make_leaf(state, ("<cycle: %s>"):format(inside[value]), "note") end
  local count = rawlen(value)
  local keys = other_keys(value, count)
  if count + #keys == 0 then return make_leaf(state, prefix .. "{}") end
  if depth >= state.depth then return make_leaf(state, prefix .. "{...}", "note") end
  local node = { parts = {}, length = #prefix + 2, prefix = prefix }
  local shown = 0
  inside[value] = path == "" and "the whole" or path
  for i = 1, count do
    if not add_part(state, node, nil, rawget(value, i), depth, path) then break end
    shown = shown + 1
  end
  for _, key in ipairs(keys) do
    if shown < count or not add_part(state, node, key, rawget(value, key), depth, path) then break end
    shown = shown + 1
  end
  inside[value] = nil
  if shown < count + #keys then add_note(state, node, ("... %d more"):format(count + #keys - shown)) end
  return node
end

function node_of(state, value, depth, path)
  local kind = type(value)
  if kind == "string" then return show_string(state, value) end
  if kind == "function" then return show_function(state, value) end
  local metatable = debug.getmetatable(value)
  local spoken = ask(state, value, metatable)
  if spoken then return spoken end
  if kind ~= "table" then return make_leaf(state, tostring(value), kind) end
  local name = type(metatable) == "table" and rawget(metatable, "__name")
  return show_table(state, value, depth, path, type(name) == "string" and name .. " " or "")
end

-- --- layout ---

local function write_flat(node, out)
  if not node.parts then
    out[#out + 1] = node.text
    return
  end
  out[#out + 1] = node.prefix .. "{"
  for number, part in ipairs(node.parts) do
    out[#out + 1] = (number > 1 and ", " or "") .. part.label
    write_flat(part.node, out)
  end
  out[#out + 1] = "}"
end

--- `used`: the columns before it on its line, and after it.
local function write(node, out, indent, used, width)
  if not node.parts or used + node.length <= width then return write_flat(node, out) end
  out[#out + 1] = node.prefix .. "{\n"
  local margin = (" "):rep(indent + indentation)
  local column -- where the line ends that the next part may go on; nil: none
  for _, part in ipairs(node.parts) do
    local is_small = part.label == "" and not part.node.parts and part.node.length <= small
    if is_small and column and column + part.node.length + 2 <= width then
      out[#out] = ", "
    else
      out[#out + 1] = margin
      column = #margin - 1
    end
    out[#out + 1] = part.label
    write(part.node, out, indent + indentation, #margin + part.label_length + 1, width)
    out[#out + 1] = ",\n"
    column = is_small and column + part.node.length + 2 or nil
  end
  out[#out + 1] = (" "):rep(indent) .. "}"
end

return function(value, options)
  local state = { inside = {}, left = items_in_all } -- inside: the tables around, with the paths to them
  for name, default in pairs(defaults) do
    local given = options and options[name]
    state[name] = given == nil and default or given
  end
  local out = {}
  write(node_of(state, value, 0, ""), out, 0, 0, state.width)
  return table.concat(out)
end
