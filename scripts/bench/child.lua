-- Runs one measurement: a process that prints one number on its standard output.

local child = {}

-- Seconds after which a measurement is taken to hang.
local limit <const> = 60
-- How much of what a failed measurement printed is kept.
local message_size <const> = 1000

--- A word as the shell reads it back unchanged.
function child.quote(word)
  return "'" .. word:gsub("'", [['\'']]) .. "'"
end

--- Runs a command, a list of words: the number that it printed, or nil and what went wrong.
function child.run(command)
  local words = {}
  for i, word in ipairs(command) do words[i] = child.quote(word) end
  local pipe <close> = assert(io.popen(("timeout -k 5 %d %s 2>&1"):format(limit, table.concat(words, " "))))
  local text = pipe:read("a")
  local ok, how, status = pipe:close()
  local number = tonumber(text)
  if ok and number then return number end
  if how == "exit" and status == 124 then return nil, ("no answer within %d seconds"):format(limit) end
  if text == "" then return nil, ("%s %d, nothing printed"):format(how, status) end
  return nil, (text:sub(1, message_size):gsub("%s+$", ""))
end

return child
