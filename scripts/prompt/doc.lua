-- The reference at the prompt: finds the entry of a name in the annotated files of bindings/types.
--
--   doc(texts, "neap.channel" | "channel:send" | "send") -> text of the entry, or nil and the names that come near

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

local function entry_text(signature, comment)
  local lines = { signature, "" }
  local empty = true
  for _, line in ipairs(comment) do
    local explained = explain(line)
    if explained and not (explained == "" and empty) then
      lines[#lines + 1] = explained
      empty = explained == ""
    end
  end
  while lines[#lines] == "" do table.remove(lines) end
  return table.concat(lines, "\n")
end

local function plain(name) return (name:lower():gsub("[_.:]", "")) end

--- Is what a name stands behind the same? "neap.fs", "fs" and "Fs" are; nothing is "neap".
local function is_same_owner(wanted, owner)
  wanted, owner = plain(wanted):gsub("^neap", ""), plain(owner or ""):gsub("^neap", "")
  return wanted == owner
end

return function(texts, wanted)
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
      if rank then table.insert(found[rank], entry_text(signature, comment)) end
    end)
  end
  for _, entries in ipairs(found) do
    if #entries > 0 then return table.concat(entries, "\n\n") end
  end
  table.sort(near)
  return nil, near
end
