-- From the lines that were typed to a function: is the chunk complete, is it an expression, and what becomes of locals.
--
-- LOCALS  In plain Lua a local ends with its chunk, and so with the line. Here those that a chunk declares outside of
--         all blocks live on. Each is a variable, not a copy: the closures that use it and the later chunks share it.
--         How: code behind the chunk hands over a closure for each such local; a later chunk is compiled below locals
--         of the same names, and its upvalues are joined to the closures'. A chunk that ends with `return`, or fails,
--         hands over nothing; a <close> variable is closed at the end of its chunk, and so is not kept.

local kept_at_most = 150 -- of Lua's 200 locals a function

local chunk = {}

--- The locals of one prompt. One of them is the library: what is typed and sent to a thread finds it there, as in a
-- script that has required it.
function chunk.new_locals(neap)
  return { names = { neap and "neap" }, cells = { neap = neap and function() return neap end } }
end

-- --- tokens ---

local function skip_long(text, position)
  local level = text:match("^%[(=*)%[", position)
  if not level then return nil end
  local _, last = text:find("]" .. level .. "]", position, true)
  return (last or #text) + 1
end

local function skip_string(text, position)
  local delimiter = text:sub(position, position)
  position = position + 1
  while position <= #text do
    local byte = text:sub(position, position)
    if byte == "\\" then position = position + 1 elseif byte == delimiter then return position + 1 end
    position = position + 1
  end
  return position
end

--- Iterates over the names, keywords and signs of a text; what is in strings and comments is left out.
local function tokens(text)
  local position = 1
  return function()
    while true do
      position = text:match("^%s*()", position)
      if position > #text then return nil end
      local sign = text:sub(position, position)
      if text:find("^%-%-", position) then
        position = skip_long(text, position + 2) or text:match("^[^\n]*()", position)
      elseif sign == "[" and skip_long(text, position) then
        position = skip_long(text, position)
      elseif sign == '"' or sign == "'" then
        position = skip_string(text, position)
      else
        local token, after = text:match("^([%a_][%w_]*)()", position)
        if not token then token, after = text:match("^([%d.][%w.]*)()", position) end
        if not token then token, after = sign, position + 1 end
        position = after
        return token
      end
    end
  end
end

local depth_change = {
  ["function"] = 1, ["do"] = 1, ["if"] = 1, ["repeat"] = 1, ["end"] = -1, ["until"] = -1,
}

--- The names that a chunk declares local outside of all blocks.
function chunk.find_locals(text)
  local names, seen = {}, {}
  local function add(name)
    if not seen[name] and name ~= "_ENV" then names[#names + 1], seen[name] = name, true end
  end
  local next_token, depth = tokens(text), 0
  local token = next_token()
  while token do
    if token == "local" and depth == 0 then
      token = next_token()
      if token == "function" then
        add(next_token() or "_ENV")
      else
        while token and token:find("^[%a_]") do
          local name, attribute = token, nil
          token = next_token()
          if token == "<" then
            attribute = next_token()
            next_token()
            token = next_token()
          end
          if attribute ~= "close" then add(name) end
          if token ~= "," then break end
          token = next_token()
        end
      end
    end
    if token then
      depth = depth + (depth_change[token] or 0)
      if token ~= "local" or depth > 0 then token = next_token() end
    end
  end
  return names
end

-- --- complete or not ---

-- Mistakes that Lua finds at the end, and that more lines do not mend.
local final_mistakes = { "break outside a loop", "break outside loop", "no visible label" }

local function ends_early(message, text)
  if not message:find("<eof>'?$") then return false end
  if message:find("unfinished string", 1, true) then return text:find("\\$") or text:find("\\z%s*$") end
  for _, mistake in ipairs(final_mistakes) do
    if message:find(mistake, 1, true) then return false end
  end
  return true
end

--- "complete", the code, and whether it is a list of expressions; "incomplete"; or "error" and a message.
function chunk.read(text, name)
  local expression = text:match("^%s*=(.*)$") or text
  local done, as_expression = load("return " .. expression, name, "t")
  if done then return "complete", expression, true end
  if text:find("^%s*=") then
    if ends_early(as_expression, text) then return "incomplete" end
    return "error", as_expression
  end
  local is_statement, message = load(text, name, "t")
  if is_statement then return "complete", text, false end
  if ends_early(message, text) or ends_early(as_expression, text) then return "incomplete" end
  return "error", message
end

-- --- compiling ---

local function keep(locals, name, cell)
  if debug.getupvalue(cell, 1) == nil then -- a constant: it has no variable that could be shared
    local value = cell()
    cell = function() return value end
  end
  if not locals.cells[name] then table.insert(locals.names, name) end
  locals.cells[name] = cell
  if #locals.names > kept_at_most then locals.cells[table.remove(locals.names, 1)] = nil end
end

local function join_locals(locals, fn)
  local index = 1
  local name = debug.getupvalue(fn, index)
  while name do
    if locals.cells[name] then debug.upvaluejoin(fn, index, locals.cells[name], 1) end
    index = index + 1
    name = debug.getupvalue(fn, index)
  end
end

local function with_locals(locals, code, ending, name, env)
  local list = #locals.names > 0 and "local " .. table.concat(locals.names, ",") .. " " or ""
  local gap = code:find("--", 1, true) and "\n" or " " -- what comes behind a comment stands on a line of its own
  local source = list .. "local __keep = ... return function(...) " .. code .. gap .. ending .. " end"
  return load(source, name, "t", env)
end

--- The code in full: what is an expression is returned, and not as a tail call, which would miss in tracebacks.
local function prepare(code, is_expression)
  if is_expression then return "return __keep(" .. code, ")" end
  local calls = {}
  for _, name in ipairs(chunk.find_locals(code)) do
    calls[#calls + 1] = ("__keep(%q, function() return %s end)"):format(name, name)
  end
  return code, table.concat(calls, " ")
end

--- A function that runs `code`, as chunk.read has told, among `locals`.
function chunk.compile(locals, code, is_expression, name, env)
  local beginning, ending = prepare(code, is_expression)
  local factory, message = with_locals(locals, beginning, ending, name, env)
  -- Nothing may stand behind a return.
  if not factory and not is_expression then factory, message = with_locals(locals, code, "", name, env) end
  if not factory then return nil, message end
  local function hand_over(...)
    if is_expression then return ... end
    keep(locals, ...)
  end
  local fn = factory(hand_over)
  join_locals(locals, fn)
  return fn
end

return chunk
