-- Downloads pictures: one after the other, with tasks, with eight threads on a queue, and with a pool of processes.
--
--   neap download.lua [--pictures N] [--delay SECONDS] [--into FOLDER]
--   neap download.lua [--into FOLDER] URL...
--
-- Without URLs it starts a server of its own, in another process, which takes its time for each picture; it compares
-- how long each way takes, and checks every file. With URLs it downloads those, with tasks, into the current folder.
local neap = require "neap"

local WORKERS = 8
local CONNECTIONS = 200 -- at a time: each takes a descriptor

-- --- pictures: interfering waves, as PNG ---

local WIDTH, HEIGHT = 128, 96

local crc_table = {}
for byte = 0, 255 do
  local crc = byte
  for _ = 1, 8 do crc = crc & 1 == 1 and crc >> 1 ~ 0xEDB88320 or crc >> 1 end
  crc_table[byte] = crc
end

local function crc32(bytes)
  local crc = 0xFFFFFFFF
  for first = 1, #bytes, 4096 do
    for _, byte in ipairs({bytes:byte(first, math.min(first + 4095, #bytes))}) do
      crc = crc >> 8 ~ crc_table[(crc ~ byte) & 0xFF]
    end
  end
  return crc ~ 0xFFFFFFFF
end

local function adler32(bytes)
  local a, b = 1, 0
  for first = 1, #bytes, 4096 do
    for _, byte in ipairs({bytes:byte(first, math.min(first + 4095, #bytes))}) do
      a = a + byte
      b = b + a
    end
    a, b = a % 65521, b % 65521
  end
  return b << 16 | a
end

local function chunk(kind, bytes)
  return (">I4"):pack(#bytes) .. kind .. bytes .. (">I4"):pack(crc32(kind .. bytes))
end

--- What a PNG holds is compressed by zlib; here in blocks that are stored as they are.
local function store(bytes)
  local parts = {"\x78\x01"}
  for first = 1, #bytes, 65535 do
    local block = bytes:sub(first, first + 65534)
    local is_last = first + 65535 > #bytes
    parts[#parts + 1] = ("<I1I2I2"):pack(is_last and 1 or 0, #block, ~#block & 0xFFFF) .. block
  end
  parts[#parts + 1] = (">I4"):pack(adler32(bytes))
  return table.concat(parts)
end

--- 256 colours, from deep water to foam.
local function palette()
  local colours = {}
  for shade = 0, 255 do
    colours[#colours + 1] = string.char(shade * shade // 255, shade, 96 + shade * 159 // 255)
  end
  return table.concat(colours)
end

local function draw(number)
  local rows = {}
  local x1, y1, x2, y2 = number % WIDTH, number * 7 % HEIGHT, number * 13 % WIDTH, HEIGHT - number % HEIGHT
  for y = 1, HEIGHT do
    local row = {0} -- its filter: none
    for x = 1, WIDTH do
      local first = math.sqrt((x - x1) ^ 2 + (y - y1) ^ 2)
      local second = math.sqrt((x - x2) ^ 2 + (y - y2) ^ 2)
      row[x + 1] = math.floor((math.sin(first / 4) + math.sin(second / 5) + 2) * 63.75)
    end
    rows[y] = string.char(table.unpack(row))
  end
  local head = (">I4I4I1I1I1I1I1"):pack(WIDTH, HEIGHT, 8, 3, 0, 0, 0)
  return "\x89PNG\r\n\x1a\n" .. chunk("IHDR", head) .. chunk("PLTE", palette()) ..
    chunk("IDAT", store(table.concat(rows))) .. chunk("IEND", "")
end

-- --- the server ---

--- The body of the server's process: draws the pictures on all cores, serves them, and says what there is.
local function serve(count, delay, ready)
  local pictures, list = {}, {}
  local pool <close> = neap.pool()
  local numbers = {}
  for number = 1, count do numbers[number] = number end
  local function make(number)
    local picture = draw(number)
    return {picture, crc32(picture)}
  end
  local server <close> = assert(neap.http.serve({handler = function(request)
    local picture = pictures[request.path]
    if not picture then return {status = 404, body = "no such picture\n"} end
    neap.sleep(delay)
    return {headers = {["Content-Type"] = "image/png"}, body = picture}
  end}))
  local host, port = server:address()
  for number, made in ipairs(pool:map(make, numbers, {chunksize = 10})) do
    local name = ("tide-%03d.png"):format(number)
    pictures["/" .. name] = made[1]
    local url = ("http://%s:%d/%s"):format(host, port, name)
    list[number] = {url = url, name = name, bytes = #made[1], crc = made[2]}
  end
  ready:send(list)
  server:wait()
end

-- --- downloading ---

--- Downloads a file. False when that has failed, which is told. `progress`: see neap.http.get.
local function fetch(folder, picture, progress)
  local options = {to = folder .. "/" .. picture.name, timeout = 60, progress = progress}
  local answer, message = neap.http.get(picture.url, options)
  if answer and answer.status == 200 then return true end
  message = message or ("%d %s"):format(answer.status, answer.reason or "")
  neap.log.error("cannot download", {url = picture.url, reason = message})
  return false
end

--- Each way downloads all of a list into a folder, advances the bar, and returns how many it has got.
local ways = {}

ways[1] = {name = "one after the other", run = function(folder, list, bar)
  local got = 0
  for _, picture in ipairs(list) do
    if fetch(folder, picture) then got = got + 1 end
    bar:add()
  end
  return got
end}

ways[2] = {name = "tasks, one for each", run = function(folder, list, bar)
  local got, places = 0, neap.semaphore(CONNECTIONS)
  neap.scope(function(scope)
    for _, picture in ipairs(list) do
      scope:spawn(function()
        local _ <close> = places:guard()
        if fetch(folder, picture) then got = got + 1 end
        bar:add()
      end)
    end
  end)
  return got
end}

ways[3] = {name = WORKERS .. " threads on a queue", run = function(folder, list, bar)
  local queue, got = neap.queue(), neap.value("u32")
  local function work()
    for picture in queue:iter() do
      if fetch(folder, picture) then got:add(1) end
      bar:add()
    end
  end
  neap.scope(function(scope)
    for _ = 1, WORKERS do scope:thread(work) end
    for _, picture in ipairs(list) do queue:put(picture) end
    queue:close()
  end)
  return got:get()
end}

ways[4] = {name = "a pool of " .. WORKERS .. " processes", run = function(folder, list, bar)
  local pool <close> = neap.pool({kind = "process", workers = WORKERS})
  local function work(picture)
    local got = fetch(folder, picture)
    bar:add()
    return got
  end
  local got = 0
  for _, each in ipairs(pool:map(work, list, {chunksize = 5})) do got = got + (each and 1 or 0) end
  return got
end}

-- --- comparing ---

--- Bytes that a process has for itself, and its share of what it has with others; nil: nobody knows.
local function memory_of(pid)
  local file = io.open(("/proc/%s/smaps_rollup"):format(pid))
  local text = file and file:read("a") -- nil: it has just ended
  if file then file:close() end
  local kilobytes = text and text:match("\nPss:%s+(%d+) kB")
  return kilobytes and tonumber(kilobytes) * 1024
end

--- The most that this program has taken, all of its processes but the server together, while `run` ran.
local function measure_memory(server, run)
  local most
  local function look()
    local sum = memory_of("self")
    for _, process in ipairs(neap.processes()) do
      if sum and process.pid ~= server.pid then sum = sum + (memory_of(process.pid) or 0) end
    end
    most = sum and math.max(sum, most or 0)
  end
  look()
  local watch = neap.every({daemon = true}, 0.1, look)
  local result = run()
  watch:cancel()
  return result, most
end

--- How many of the files in a folder are what the server has sent.
local function count_right(folder, list)
  local pool <close> = neap.pool()
  local right = 0
  local function is_right(picture)
    local bytes = neap.fs.read(folder .. "/" .. picture.name)
    return bytes and #bytes == picture.bytes and crc32(bytes) == picture.crc
  end
  for _, each in ipairs(pool:map(is_right, list)) do right = right + (each == true and 1 or 0) end
  return right
end

local function compare(folder, list, server)
  local rows, complete = {}, true
  for number, way in ipairs(ways) do
    local place = ("%s/%d"):format(folder, number)
    assert(neap.fs.mkdir(place, {parents = true}))
    local bar <close> = neap.progress(#list, {label = way.name, keep = false})
    collectgarbage()
    local start = neap.now()
    local got, memory = measure_memory(server, function() return way.run(place, list, bar) end)
    rows[number] = {name = way.name, seconds = neap.now() - start, memory = memory}
    bar:close()
    local right = count_right(place, list)
    complete = complete and got == #list and right == #list
    if right < #list then neap.log.error("files are missing or wrong", {way = way.name, right = right, of = #list}) end
  end
  return rows, complete
end

local function print_table(rows)
  print(("%-24s %8s %9s %8s"):format("", "seconds", "speed-up", "memory"))
  for _, row in ipairs(rows) do
    local memory = row.memory and ("%.0f MB"):format(row.memory / 1e6) or "-"
    print(("%-24s %8.2f %8.1fx %8s"):format(row.name, row.seconds, rows[1].seconds / row.seconds, memory))
  end
end

-- --- the program ---

local function fail(problem)
  io.stderr:write("download: ", problem, "\n")
  os.exit(2)
end

local function read_arguments(words)
  local options = {pictures = 200, delay = 0.02, urls = {}}
  local known = {
    ["--pictures"] = {"pictures", "a whole number, 1 or more", function(text)
      local count = math.tointeger(text)
      return count and count > 0 and count
    end},
    ["--delay"] = {"delay", "a number of seconds", function(text)
      local seconds = tonumber(text)
      return seconds and seconds >= 0 and seconds
    end},
    ["--into"] = {"into", "a folder", function(text) return text end},
  }
  local at = 1
  while words[at] do
    local option = known[words[at]]
    if option then
      local value = words[at + 1] and option[3](words[at + 1])
      if not value then fail(("%s needs %s"):format(words[at], option[2])) end
      options[option[1]] = value
      at = at + 2
    elseif words[at]:find("^-") then
      fail("unexpected argument " .. words[at])
    else
      table.insert(options.urls, words[at])
      at = at + 1
    end
  end
  return options
end

--- A name for the file that a URL stands for, which none of the others has.
local function name_for(url, taken)
  local name = url:gsub("[?#].*", ""):match("//[^/]+/.-([^/]+)$") or "index.html"
  while taken[name] do name = "another-" .. name end
  taken[name] = true
  return name
end

local function download_urls(urls, folder)
  assert(neap.fs.mkdir(folder, {parents = true}))
  local taken, got = {}, 0
  neap.scope(function(scope)
    for _, url in ipairs(urls) do
      local picture = {url = url, name = name_for(url, taken)}
      scope:spawn(function()
        local bar <close> = neap.progress(nil, {label = picture.name, unit = "B"})
        local function show(done, total)
          bar:set(done)
          bar:set_total(total)
        end
        if fetch(folder, picture, show) then got = got + 1 end
      end)
    end
  end)
  return got == #urls
end

local function demonstrate(options)
  local folder = options.into or os.tmpname()
  local _ <close> = setmetatable({}, {__close = function()
    if not options.into then neap.fs.remove(folder, {recursive = true}) end
  end})
  if not options.into then os.remove(folder) end
  local ready = neap.channel(1)
  local about = {name = "server", daemon = true}
  local server = assert(neap.process(about, serve, options.pictures, options.delay, ready))
  local index, list = neap.select({ready, server})
  if index == 2 then server:join() end -- raises what has ended it
  local bytes = 0
  for _, picture in ipairs(list) do bytes = bytes + picture.bytes end
  print(("%d pictures, %.1f MB, from %s, which takes %g ms for each\n"):format(#list, bytes / 1e6,
    list[1].url:match("^http://[^/]+"), options.delay * 1000))
  local rows, complete = compare(folder, list, server)
  server:cancel()
  print_table(rows)
  if complete then print(("\nAll %d files are what the server has sent."):format(#list * #ways)) end
  return complete
end

local options = read_arguments({...})
local complete
if #options.urls > 0 then
  complete = download_urls(options.urls, options.into or ".")
else
  complete = demonstrate(options)
end
if not complete then os.exit(1) end
