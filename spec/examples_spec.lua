-- The programs in scripts/examples, as users run them.

local support = require "spec.support"

local function command_of(name, ...)
  local words = { support.quote(support.runner), "scripts/examples/" .. name }
  for _, argument in ipairs { ... } do words[#words + 1] = support.quote(argument) end
  return table.concat(words, " ")
end

local function run(...) return support.run_command(command_of(...)) end

--- The same where file modes count: for root they do not.
local function run_unprivileged(...)
  local is_root = support.run_command("id -u").stdout == "0\n"
  local setpriv = "setpriv --bounding-set=-dac_override,-dac_read_search "
  return support.run_command((is_root and setpriv or "") .. command_of(...))
end

local function says(text) return { status = 0, stdout = text, stderr = "" } end

--- What the comment at the head of an example says that it prints; nil if it does not say.
local function promised_by(path)
  local lines, prints = {}, false
  for line in io.lines(path) do
    if not line:find("^%-%-") then break end
    if prints then lines[#lines + 1] = line:match("^%-%-   (.*)") end
    prints = prints or line == "-- Prints:"
  end
  return prints and table.concat(lines, "\n") .. "\n" or nil
end

describe("an example prints what stands at its head:", function()
  for path in support.run_command("ls scripts/examples/*.lua").stdout:gmatch("[^\n]+") do
    local promised, name = promised_by(path), path:match("[^/]+$")
    if promised then
      it(name, function() assert.are.same(says(promised), run(name)) end)
    end
  end
end)

describe("pipeline.lua", function()
  it("finds the primes up to a number", function()
    assert.are.same(says "25 primes up to 100, the largest is 97\n", run("pipeline.lua", "100"))
  end)

  it("says how it is used", function()
    local result = run("pipeline.lua", "many")
    assert.is_truthy(result.stderr:find("usage: neap pipeline.lua", 1, true))
    assert.are.equal(1, result.status)
  end)
end)

describe("philosophers.lua", function()
  it("lets everybody eat", function()
    local result = run("philosophers.lua")
    assert.are.equal(5, select(2, result.stdout:gsub(" ate 3 times\n", "")))
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.status)
  end)
end)

describe("ticker.lua", function()
  it("ticks #preempt", function()
    local numbers = "results: 196418 317811 514229 832040\n"
    assert.are.same(says(numbers .. "message 1\nmessage 2\nmessage 3\n"), run("ticker.lua"))
  end)
end)

--- What `code` prints, run beside an example that serves at `port`.
local function run_beside(server, code)
  return support.run_script(([[
    local runner, path = ...
    local server <close> = neap.popen({ runner, path, "serve", stdout = "pipe" })
    local port = math.tointeger(server.stdout:read("line", 60):match("^listening on 127.0.0.1 port (%%d+)$"))
    %s
    server:kill() ]]):format(code), { support.runner, "scripts/examples/" .. server })
end

describe("echo.lua", function()
  it("serves, and connects", function()
    assert.are.same(says "one\ntwo\n0\n", run_beside("echo.lua", [[
      local client = neap.run({ runner, path, "connect", "127.0.0.1", port, stdin = "one\ntwo\n" })
      print(client.stdout .. client.stderr .. client.code) ]]))
  end)
end)

describe("chat.lua", function()
  it("asks for another name when somebody has it, and serves those who leave in the middle of a line", function()
    assert.are.same(says "another one? \n* bob is here\nbob: hi\n* bob is gone\n", run_beside("chat.lua", [[
      local function come(name)
        local stream = neap.net.connect("127.0.0.1", port)
        stream:read(#"your name? ")
        stream:write(name .. "\n")
        return stream
      end
      local first, second = come("ann"), come("ann")
      local function refused(stream)
        print(stream:read(#"another one? "))
        return stream
      end
      local other = neap.race({ neap.spawn(refused, first), neap.spawn(refused, second) })
      local ann = other == first and second or first
      other:write("bob\n")
      print(ann:read("line"))
      other:write("hi\nand")
      other:close()
      print(ann:read("line"))
      ann:read("line") -- what there is of the last one
      print(ann:read("line")) ]]))
  end)
end)

describe("port_scanner.lua", function()
  it("finds who listens", function()
    local result = support.run_script([[
      local runner, path = ...
      local listener <close> = neap.net.listen("127.0.0.1", 0)
      local _, port = listener:address()
      local scan = neap.run({ runner, path, port, port })
      print(scan.stdout == ("port %d is open\n1 of 1 ports are open\n"):format(port), scan.stderr, scan.code)
      print(neap.run({ runner, path, 1, 1024 }).stdout:match("of 1024 ports are open")) ]],
      { support.runner, "scripts/examples/port_scanner.lua" })
    assert.are.same(says "true\t\t0\nof 1024 ports are open\n", result)
  end)
end)

describe("follow.lua", function()
  it("follows several files, from their ends on", function()
    local first <close> = support.temporary_file("old\n")
    local second <close> = support.temporary_file()
    local result = support.run_script([[
      local runner, path, first, second = ...
      local program <close> = neap.popen({ runner, path, first, second, stdout = "pipe" })
      local lines = neap.channel(100)
      neap.spawn({ daemon = true }, function() for line in program.stdout:lines() do lines:send(line) end end)
      local seen, line = {}, nil
      repeat -- it takes them up when it has started
        neap.fs.append(first, "new\n")
        line = lines:recv(0.1)
      until line
      neap.fs.append(second, "half ")
      neap.fs.append(second, "a line\n")
      while line:find("new$") do
        seen[line] = true
        line = lines:recv()
      end
      for text in pairs(seen) do print(text == first .. ": new") end
      print(line == second .. ": half a line")
      program:kill() ]], { support.runner, "scripts/examples/follow.lua", first.path, second.path })
    assert.are.same(says "true\ntrue\n", result)
  end)
end)

describe("download.lua", function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
  end)

  after_each(function() os.execute("rm -rf " .. folder) end)

  --- Runs it on files that a server of our own has; URL in the arguments stands for that.
  local function download_from_server(...)
    local words = {}
    for number, word in ipairs({ ... }) do words[number] = word end
    return support.run_script([[
      local runner, path, words = ..., select(2, ...), { select(3, ...) }
      local server <close> = neap.http.serve({ handler = function(request)
        if request.path ~= "/a.txt" then return { status = 404 } end
        return "what " .. (request.query.q or "there is")
      end })
      local host, port = server:address()
      for number, word in ipairs(words) do words[number] = word:gsub("URL", ("http://%s:%d"):format(host, port)) end
      local result = neap.run({ runner, path, table.unpack(words) })
      print(result.stdout .. result.stderr)
      os.exit(result.code) ]], { support.runner, "scripts/examples/download.lua", table.unpack(words) })
  end

  --- Decodes a picture with Python's zlib: width, height, and how many bytes it unpacks to.
  local checker = [[
import sys, struct, zlib
data = open(sys.argv[1], "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n"
at, packed = 8, b""
while at < len(data):
    size, kind = struct.unpack(">I4s", data[at:at + 8])
    body = data[at + 8:at + 8 + size]
    assert struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0] == zlib.crc32(kind + body)
    if kind == b"IHDR": width, height = struct.unpack(">II", body[:8])
    if kind == b"IDAT": packed += body
    at += 12 + size
print(width, height, len(zlib.decompress(packed)))
]]

  it("downloads in four ways, shows how long each took, and leaves nothing", function()
    local result = run("download.lua", "--pictures", "12", "--delay", "0.002")
    assert.are.equal(0, result.status, result.stderr)
    local text = result.stdout
    assert.is_truthy(text:find("^12 pictures, 0.2 MB, from http://127.0.0.1:%d+, which takes 2 ms for each\n"), text)
    local number = "%s+%d+%.%d%d%s+%d+%.%dx%s+[%d-]+[ MB]*\n"
    assert.is_truthy(text:find("one after the other" .. number .. "tasks, one for each" .. number ..
      "8 threads on a queue" .. number .. "a pool of 8 processes" .. number), text)
    assert.is_truthy(text:find("\nAll 48 files are what the server has sent.\n$"), text)
  end)

  it("serves pictures that others can read, each another one", function()
    local result = run("download.lua", "--pictures", "3", "--delay", "0", "--into", folder)
    assert.are.equal(0, result.status, result.stderr)
    support.write_file(folder .. "/check.py", checker)
    local seen = {}
    for way = 1, 4 do
      for number = 1, 3 do
        local path = ("%s/%d/tide-%03d.png"):format(folder, way, number)
        local checked = support.run_command(("python3 %s/check.py %s"):format(folder, path))
        assert.are.same(says "128 96 12384\n", checked)
        seen[support.read_file(path)] = true
      end
    end
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    assert.are.equal(3, count)
  end)

  it("downloads what it is told to, instead", function()
    local result = download_from_server("--into", folder, "URL/a.txt", "URL/a.txt?q=else")
    assert.are.equal(0, result.status, result.stdout)
    assert.are.equal("what there is", support.read_file(folder .. "/a.txt"))
    assert.are.equal("what else", support.read_file(folder .. "/another-a.txt"))
    assert.is_truthy(result.stdout:find("a.txt: 100% 13 B/13 B", 1, true), result.stdout)
  end)

  it("shows what could not be downloaded, goes on, and ends with status 1", function()
    local result = download_from_server("--into", folder, "URL/none", "http://127.0.0.1:1/x", "URL/a.txt")
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stdout:find('ERROR cannot download reason="404 Not Found" url=http://127.0.0.1:', 1, true),
      result.stdout)
    local refused = "ERROR cannot download reason=[^\n]+ url=http://127.0.0.1:1/x\n"
    assert.is_truthy(result.stdout:find(refused), result.stdout)
    assert.are.equal("what there is", support.read_file(folder .. "/a.txt"))
  end)

  for _, wrong in ipairs {
    { "--pictures", "many", says = "--pictures needs a whole number, 1 or more" },
    { "--delay", "-1", says = "--delay needs a number of seconds" },
    { "--into", says = "--into needs a folder" },
    { "--fast", says = "unexpected argument --fast" },
  } do
    it("refuses " .. table.concat(wrong, " "), function()
      local result = run("download.lua", table.unpack(wrong))
      assert.are.same({ status = 2, stdout = "", stderr = "download: " .. wrong.says .. "\n" }, result)
    end)
  end
end)

describe("wordcount.lua", function()
  local folder

  local function write(name, text) support.write_file(folder .. "/" .. name, text) end

  --- What it says of the words: the totals and a list of "count word".
  local function words_of(result)
    local output = result.stdout
    local total, different = output:match("(%d+) words, (%d+) different ones")
    local list = {}
    for count, word in output:gmatch("\n%s+(%d+)  ([^\n]+)") do list[#list + 1] = count .. " " .. word end
    return { total = tonumber(total), different = tonumber(different), list = list }
  end

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
  end)

  after_each(function() os.execute("chmod -R u+rwx " .. folder .. "; rm -r " .. folder) end)

  it("counts the words of all files, without regard to case, and both runs agree", function()
    write("a", "the tide, the moon\nThe sea")
    write("b", "moon's tide")
    local result = run("wordcount.lua", folder)
    assert.are.equal(0, result.status)
    local list = { "3 the", "2 moon", "2 tide", "1 s", "1 sea" }
    assert.are.same({ total = 9, different = 5, list = list }, words_of(result))
    assert.is_truthy(result.stdout:find("2 text files under " .. folder .. ": 0.0 MB\n", 1, true))
    assert.is_truthy(result.stdout:find("Both runs agree.\n", 1, true))
  end)

  it("takes a word that lies across the end of a block for one", function()
    -- Words of seven letters and a space: some end of a block of 2^18 bytes would cut one unless it is moved.
    write("a", "x " .. ("abcdefg "):rep(100000))
    local result = run("wordcount.lua", folder)
    assert.are.same({ total = 100001, different = 2, list = { "100000 abcdefg", "1 x" } }, words_of(result))
  end)

  it("counts letters beyond ASCII as letters", function()
    write("a", "größer größer naïve")
    assert.are.same({ "2 größer", "1 naïve" }, words_of(run("wordcount.lua", folder)).list)
  end)

  it("copes with odd file names, and passes compressed and binary files over", function()
    write("it's a\nname", "one")
    write("-n", "two")
    write("$(touch x)", "three")
    write("packed.gz", "four")
    write("binary", "five\0six")
    write("empty", "")
    local result = run("wordcount.lua", folder)
    assert.are.equal(0, result.status)
    assert.are.same({ "1 one", "1 three", "1 two" }, words_of(result).list)
  end)

  it("names the files that it cannot read, counts them and goes on", function()
    write("open", "words")
    write("shut", "secret")
    assert(os.execute("chmod 000 " .. folder .. "/shut"))
    local result = run_unprivileged("wordcount.lua", folder)
    assert.are.equal(0, result.status)
    assert.are.same({ "1 words" }, words_of(result).list)
    assert.is_truthy(result.stderr:find("wordcount: " .. folder .. "/shut: Permission denied\n", 1, true))
    assert.is_truthy(result.stdout:find("\nfiles that could not be read: 1\n", 1, true))
  end)

  it("names a file that fails while it is read", function()
    local result = run("wordcount.lua", "/proc/self/mem")
    assert.is_truthy(result.stderr:find("wordcount: /proc/self/mem: Input/output error\n", 1, true))
    assert.are.equal(2, result.status)
  end)

  it("reads no more than it was told to", function()
    write("a", ("ab "):rep(500000))
    local result = run("wordcount.lua", "--megabytes", "1", folder)
    assert.is_truthy(result.stdout:find(": 1.0 MB\n", 1, true))
    assert.is_true(words_of(result).total <= 333334)
  end)

  it("shows its progress on terminals only", function()
    write("a", "word")
    assert.is_nil(run("wordcount.lua", folder).stderr:find("\r", 1, true))
  end)

  it("prints how it is used", function()
    local result = run("wordcount.lua", "--help")
    assert.is_truthy(result.stdout:find("^usage: neap wordcount.lua"))
    assert.are.equal(0, result.status)
  end)

  for _, wrong in ipairs {
    { "--megabytes", "many", says = "needs a whole number" },
    { "--megabytes", "0", says = "needs a whole number" },
    { "--megabytes", says = "needs a whole number" },
    { "--frobnicate", says = "unexpected argument --frobnicate" },
    { "/usr", "/etc", says = "unexpected argument /etc" },
    { "/usr/no-such-folder", says = "no text to read under /usr/no-such-folder" },
  } do
    it("refuses " .. table.concat(wrong, " "), function()
      local result = run("wordcount.lua", table.unpack(wrong))
      assert.is_truthy(result.stderr:find(wrong.says, 1, true), result.stderr)
      assert.are.equal(2, result.status)
    end)
  end
end)
