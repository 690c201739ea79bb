-- Counts the words of a tree of text files on one thread, then on all cores, and compares. Readers (tasks) put blocks
-- of text into a bounded channel; counters (threads) take them out and count, each for itself; then that is merged.
local neap = require "neap"

local MEGABYTE <const> = 1000000
local TERMINAL <const> = os.execute("test -t 2")
local BLOCK <const> = 256 * 1024 -- bytes that are read and sent at once
local READERS <const> = 4 -- tasks that read
local SHOWN <const> = 10 -- most frequent words that are printed
local LETTER <const> = "[%a\128-\255]" -- of ASCII, and whatever UTF-8 has beyond it
local LONGEST <const> = 1000 -- bytes of a word that is taken care not to cut in two

local USAGE <const> = [[
usage: neap wordcount.lua [options] [path]

Counts the words of the text files under path (default: /usr/share), first on one
thread, then on all cores. Compressed and binary files are left out.

  --megabytes N   read N megabytes, no more (default: 256)
  --help          show this

Exit status: 0 if both runs agree, 1 if not, 2 if the command line is wrong.
]]

local function refuse(message)
  io.stderr:write("wordcount: ", message, " (see --help)\n")
  os.exit(2)
end

local function parse_arguments(...)
  local arguments, path, megabytes = {...}, nil, 256
  while #arguments > 0 do
    local argument = table.remove(arguments, 1)
    if argument == "--help" then
      io.write(USAGE)
      os.exit(0)
    elseif argument == "--megabytes" then
      megabytes = math.tointeger(tonumber(table.remove(arguments, 1)))
      if not megabytes or megabytes < 1 then refuse("--megabytes needs a whole number, 1 or more") end
    elseif path or argument:sub(1, 1) == "-" then
      refuse("unexpected argument " .. argument)
    else
      path = argument
    end
  end
  return path or "/usr/share", megabytes * MEGABYTE
end

-- Iterates over a file's first bytes, about `limit`, in blocks that end between two words (but for very long words).
local function blocks_of(path, limit)
  local file, problem = io.open(path, "rb")
  if not file then error(problem, 0) end
  local function next_block()
    if limit <= 0 then return nil end
    local block, message = file:read(math.min(BLOCK, limit))
    if message then error(path .. ": " .. message, 0) end
    if not block then return nil end
    local rest, last = "", block:sub(-1)
    while last and last:find(LETTER) and #rest < LONGEST do
      last = file:read(1)
      rest = rest .. (last or "")
    end
    limit = limit - #block - #rest
    return block .. rest
  end
  return next_block, nil, nil, file
end

-- How many bytes of text the file has, up to `limit`; 0 if it is binary.
local function measure(path, limit)
  local bytes = 0
  for block in blocks_of(path, limit) do
    if bytes == 0 and block:find("\0", 1, true) then return 0 end
    bytes = bytes + #block
  end
  return bytes
end

-- Lists the text files under `path` up to `limit` bytes in all. Reads them too, so that both runs find them in memory.
local function find_files(path, limit)
  local quoted = "'" .. path:gsub("'", "'\\''") .. "'"
  local listing <close> = assert(io.popen("find -H " .. quoted .. " -type f ! -name '*.gz' -print0"))
  local files = {bytes = 0, unreadable = 0}
  for name in listing:read("a"):gmatch("[^\0]+") do
    if files.bytes >= limit then break end
    local ok, bytes = pcall(measure, name, limit - files.bytes)
    if neap.is_cancelled(bytes) then error(bytes, 0) end
    if not ok then
      io.stderr:write("wordcount: ", bytes, "\n")
      files.unreadable = files.unreadable + 1
    elseif bytes > 0 then
      table.insert(files, {path = name, bytes = bytes})
      files.bytes = files.bytes + bytes
    end
  end
  return files
end

-- Writes over the progress line, which has no colours and stands on terminals only.
local function show_progress(text)
  if TERMINAL then io.stderr:write(("%-40s\r"):format(text)) end
end

local function count_words(words, block)
  for word in block:lower():gmatch(LETTER .. "+") do words[word] = (words[word] or 0) + 1 end
end

-- Hands the blocks of every step-th file, from the first on, to `take`.
local function read_files(files, first, step, progress, take)
  for i = first, #files, step do
    for block in blocks_of(files[i].path, files[i].bytes) do
      take(block)
      progress.bytes = progress.bytes + #block
    end
  end
end

-- Never waits. The progress line moves all the same, because its timer gets a slice of the thread's time.
local function count_alone(files, progress)
  local words = {}
  read_files(files, 1, 1, progress, function(block) count_words(words, block) end)
  return words
end

-- Runs in a thread: the channel is shared, `words` is this thread's own, and a copy of it goes back at the end.
local function count_blocks(blocks)
  local words = {}
  for block in blocks:iter() do count_words(words, block) end
  return words
end

local function merge(counts)
  local words = table.remove(counts)
  for _, others in ipairs(counts) do
    for word, count in pairs(others) do words[word] = (words[word] or 0) + count end
  end
  return words
end

local function count_together(files, progress)
  local threads = neap.cpu_count()
  local blocks = neap.channel(2 * threads)
  local function send(block) blocks:send(block) end
  return neap.scope(function(counters)
    local counts = {}
    for i = 1, threads do counts[i] = counters:thread({name = "counter " .. i}, count_blocks, blocks) end
    neap.scope(function(readers)
      for first = 1, READERS do readers:spawn(read_files, files, first, READERS, progress, send) end
    end)
    blocks:close()
    return merge(neap.gather(counts))
  end)
end

local function run(label, count, files)
  local progress = {bytes = 0}
  local start = neap.now()
  local timer = neap.every({daemon = true}, 0.1, function()
    show_progress(("%s: %d of %d MB"):format(label, progress.bytes // MEGABYTE, files.bytes // MEGABYTE))
  end)
  local words = count(files, progress)
  local seconds = neap.now() - start
  timer:cancel()
  show_progress("")
  print(("%-10s %6.2f s"):format(label, seconds))
  return words, seconds
end

local function contains(words, others)
  for word, count in pairs(others) do
    if words[word] ~= count then return false end
  end
  return true
end

local function print_words(words)
  local function is_before(a, b) return words[a] > words[b] or words[a] == words[b] and a < b end
  local best, different, total = {}, 0, 0
  for word, count in pairs(words) do
    different, total = different + 1, total + count
    local place = #best
    while place > 0 and is_before(word, best[place]) do place = place - 1 end
    table.insert(best, place + 1, word)
    best[SHOWN + 1] = nil
  end
  print(("%d words, %d different ones; the most frequent:"):format(total, different))
  for _, word in ipairs(best) do print(("%12d  %s"):format(words[word], word)) end
end

local path, limit = parse_arguments(...)
local files = find_files(path, limit)
if #files == 0 then refuse("no text to read under " .. path) end
print(("%d text files under %s: %.1f MB"):format(#files, path, files.bytes / MEGABYTE))
local words, alone = run("one thread", count_alone, files)
local others, together = run("all cores", count_together, files)
print(("%.2f times as fast"):format(alone / together))
print_words(others)
if files.unreadable > 0 then print("files that could not be read: " .. files.unreadable) end
assert(contains(words, others) and contains(others, words), "the two runs do not agree")
print("Both runs agree.")
