-- The reference at the prompt: finds the entry of a name in the annotated files of bindings/types.
--
--   doc(texts, "neap.channel" | "channel:send" | "send"[, columns]) -> text of the entry; or nil, and the names that
--   come near

local function strip(comment) return comment:sub(4) end

--- Words of the annotations, put as a person would.
local function explain(line)
  local name, rest = line:match("^@param%s+(%S+)%s*(.*)$")
  if name then return ("  %s  %s"):format(name, rest) end
  rest = line:match("^@return%s+(.*)$")
  if rest then return "  returns  " .. rest end
  name, rest = line:match("^@field%s+(%S+)%s*(.*)$")
  if name then return ("  .%s  %s"):format(name, rest) end
  rest = line:match("^@since%s+(.*)$")
  if rest then return "  since " .. rest end
  rest = line:match("^@overload%s+(.*)$")
  if rest then return "  or as  " .. rest end
  if line:find("^@") then return nil end
  return line
end

--- Calls visit(name, owner, signature, comment lines) for each function, and each class with (class, nil, ...).
local function each_entry(text, visit)
  local comment, class = {}, nil
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    if line:find("^%-%-%-") then
      comment[#comment + 1] = strip(line)
      class = line:match("^%-%-%-@class%s+([%w_.]+)") or class
    else
      local signature = line:match("^function%s+([%w_.:]+%s*%b())")
      local field = line:match("^(neap%.[%w_]+)%s*=")
      if signature then
        local owner, name = signature:match("^(.-)[.:]?([%w_]+)%s*%(")
        visit(name, owner, signature, comment)
      elseif class and #comment > 1 then
        visit(class:match("[%w_]+$"), class:match("^(.-)%.?[%w_]+$"), class, comment)
      elseif field then
        visit(field:match("[%w_]+$"), "neap", field, comment)
      end
      comment, class = {}, nil
    end
  end
end

--- Adds a text to `lines`, broken between words; what follows the first line is indented as the text is, and by `more`.
local function add_filled(lines, text, width, more)
  local indent = text:match("^ *")
  local line = indent
  for word in text:gmatch("%S+") do
    local longer = line:find("%S") and line .. " " .. word or line .. word
    if #longer > width and line:find("%S") then
      lines[#lines + 1] = line
      longer = indent .. more .. word
    end
    line = longer
  end
  lines[#lines + 1] = line
end

--- The comment of an entry, as wide as `width`: paragraphs are filled, code stays as it is.
local function entry_text(signature, comment, width)
  local lines, paragraph, is_code = { signature, "" }, nil, false
  local function flush()
    if paragraph then add_filled(lines, paragraph, width, paragraph:find("^%- ") and "  " or "") end
    paragraph = nil
  end
  for _, line in ipairs(comment) do
    local explained = explain(line)
    local is_fence = line:find("^```")
    local is_item = paragraph and paragraph:find("^%- ")
    local is_prose = explained == line and not is_code and not is_fence
      and (line:find("^[^%s|]") or is_item and line:find("^  %S"))
    if is_prose and paragraph and not line:find("^%- ") then
      paragraph = paragraph .. " " .. line:gsub("^%s+", "")
    elseif is_prose then
      flush()
      paragraph = line
    elseif explained then
      flush()
      if explained ~= line then
        add_filled(lines, (explained:gsub("^(  %S+)  ", "%1\1 ")), width, "    ")
      elseif line ~= "" or lines[#lines] ~= "" then
        lines[#lines + 1] = line
      end
    end
    if is_fence then is_code = not is_code end
  end
  flush()
  while lines[#lines] == "" do table.remove(lines) end
  return (table.concat(lines, "\n"):gsub("\1", " "))
end

local function plain(name) return (name:lower():gsub("[_.:]", "")) end

--- Is what a name stands behind the same? "neap.fs", "fs" and "Fs" are; nothing is "neap".
local function is_same_owner(wanted, owner)
  wanted, owner = plain(wanted):gsub("^neap", ""), plain(owner or ""):gsub("^neap", "")
  return wanted == owner
end

return function(texts, wanted, width)
  local owner, name = wanted:gsub("%(.*$", ""):match("^([%w_.:]-)[.:]?([%w_]+)%s*$")
  if not name then return nil, {} end
  -- The best first: all as it is written; the name behind something else; the name in other letters.
  local found, near = { {}, {}, {} }, {}
  for _, text in ipairs(texts) do
    each_entry(text, function(entry, entry_owner, signature, comment)
      local rank
      if entry == name then
        rank = is_same_owner(owner, entry_owner) and 1 or 2
      elseif plain(entry) == plain(name) then
        rank = 3
      elseif plain(entry):find(plain(name), 1, true) then
        near[#near + 1] = signature:match("^[%w_.:]+")
      end
      if rank then table.insert(found[rank], entry_text(signature, comment, width or math.huge)) end
    end)
  end
  for _, entries in ipairs(found) do
    if #entries > 0 then return table.concat(entries, "\n\n") end
  end
  table.sort(near)
  return nil, near
end
