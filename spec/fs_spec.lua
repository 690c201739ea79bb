local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

local assert, describe, it = assert, describe, it
local fs = neap.fs

--- A new folder, removed with all that is in it when the variable is closed.
local function temporary_folder()
  local path = os.tmpname()
  os.remove(path)
  assert(fs.mkdir(path))
  return setmetatable({ path = path }, { __close = function() fs.remove(path, { recursive = true }) end,
    __index = function(_, name) return path .. "/" .. name end })
end

describe("neap.fs", function()
  it("writes and reads whole files", function()
    local folder <close> = temporary_folder()
    local bytes = ("a\0b\n"):rep(100000)
    assert.is_true(fs.write(folder.file, bytes))
    assert.are.equal(bytes, fs.read(folder.file))
    assert.is_true(fs.write(folder.file, ""))
    assert.are.equal("", fs.read(folder.file))
  end)

  it("reads files whose size the system does not know", function()
    assert.is_true(#fs.read("/proc/self/status") > 0)
  end)

  it("replaces a file whole, and keeps its mode and what links to it", function()
    local folder <close> = temporary_folder()
    fs.write(folder.file, "old", { mode = 384 })
    assert.are.equal(384, fs.stat(folder.file).mode)
    os.execute(("ln -s file %s"):format(support.quote(folder.link)))
    fs.write(folder.link, "new")
    assert.are.equal("new", fs.read(folder.file))
    assert.are.equal(384, fs.stat(folder.file).mode)
    assert.are.equal("link", fs.stat(folder.link, { follow = false }).type)
    assert.are.same({ "file", "link" }, fs.list(folder.path))
  end)

  it("replaces a file by one of the same owner, where it may", function()
    local folder <close> = temporary_folder()
    local function owner()
      local info = fs.stat(folder.file)
      return { info.uid, info.gid, info.mode }
    end
    fs.write(folder.file, "old", { mode = 416 })
    neap.run({ "chown", "65534:65534", folder.file }) -- nobody but root can do that
    local before = owner()
    assert(fs.write(folder.file, "new"))
    assert.are.same(before, owner())
    assert(fs.write(folder.other, "other", { mode = 416 }))
    assert(fs.copy(folder.other, folder.file))
    assert.are.equal("other", fs.read(folder.file))
    assert.are.same(before, owner())
  end)

  it("leaves nothing half-written when there is no room", function()
    local folder <close> = temporary_folder()
    local script <close> = support.temporary_file([[
      local neap = require "neap"
      local folder = ...
      neap.fs.write(folder .. "/file", "old")
      print(select(3, neap.fs.write(folder .. "/file", ("x"):rep(2 ^ 20))))
      print(neap.fs.read(folder .. "/file"), #neap.fs.list(folder))]])
    -- no file may be larger than 16 KiB
    local command = ("ulimit -f 32; exec %s %s %s"):format(support.quote(support.runner),
      support.quote(script.path), support.quote(folder.path))
    assert.are.same({ status = 0, stdout = "EFBIG\nold\t1\n", stderr = "" },
      support.run_command("sh -c " .. support.quote(command)))
  end)

  it("does not replace a file that may not be written", function()
    local folder <close> = temporary_folder()
    local kept, other = folder.kept, folder.other
    assert(fs.write(kept, "kept", { mode = 292 })) -- 0444
    assert(fs.write(other, "other"))
    local script = ([[
      local neap = require "neap"
      print((select(3, neap.fs.write(%q, "new"))))
      print((select(3, neap.fs.copy(%q, %q))))
    ]]):format(kept, other, kept)
    local is_root = support.run_command("id -u").stdout == "0\n" -- whom modes do not hold back
    local unprivileged = is_root and "setpriv --bounding-set=-dac_override,-dac_read_search " or ""
    local command = unprivileged .. support.quote(support.runner) .. " -e " .. support.quote(script)
    assert.are.same({ status = 0, stdout = "EACCES\nEACCES\n", stderr = "" }, support.run_command(command))
    assert.are.equal("kept", fs.read(kept))
    assert.are.same({ "kept", "other" }, fs.list(folder.path))
  end)

  it("appends", function()
    local folder <close> = temporary_folder()
    assert.is_true(fs.append(folder.file, "one "))
    assert.is_true(fs.append(folder.file, "two"))
    assert.are.equal("one two", fs.read(folder.file))
  end)

  it("tells what a path leads to", function()
    local folder <close> = temporary_folder()
    fs.write(folder.file, "12345")
    local info = fs.stat(folder.file)
    assert.are.equal("file", info.type)
    assert.are.equal(5, info.size)
    assert.are.equal(1, info.links)
    assert.is_true(math.abs(info.modified - os.time()) < 3600)
    assert.are.equal("folder", fs.stat(folder.path).type)
    assert.are.equal("device", fs.stat("/dev/null").type)
  end)

  it("lists names in order", function()
    local folder <close> = temporary_folder()
    for _, name in ipairs({ "b", "a", "c" }) do fs.write(folder[name], "") end
    assert.are.same({ "a", "b", "c" }, fs.list(folder.path))
  end)

  it("walks over all that is in a folder, each folder before what is in it", function()
    local folder <close> = temporary_folder()
    fs.mkdir(folder["one/two"], { parents = true })
    fs.write(folder["one/file"], "")
    fs.write(folder["last"], "")
    os.execute(("ln -s . %s"):format(support.quote(folder["one/round"])))
    local found = {}
    for path, kind in fs.walk(folder.path) do found[#found + 1] = path:sub(#folder.path + 2) .. " " .. kind end
    assert.are.same({ "last file", "one folder", "one/file file", "one/round link", "one/two folder" }, found)
  end)

  it("leaves nothing out when the one who walks is cancelled, and goes on", function()
    local folder <close> = temporary_folder()
    fs.mkdir(folder["one/two"], { parents = true })
    fs.write(folder["one/two/file"], "")
    local expected = { folder.one, folder["one/two"], folder["one/two/file"] }
    trial.cancel_at_each_instruction(function(call)
      assert.are.same(expected, trial.take_all(call, fs.walk(folder.path)))
    end)
  end)

  it("makes folders, with their parents when asked", function()
    local folder <close> = temporary_folder()
    assert.are.equal("ENOENT", (select(3, fs.mkdir(folder["a/b"]))))
    assert.is_true(fs.mkdir(folder["a/b/c"], { parents = true }))
    assert.is_true(fs.mkdir(folder["a/b/c"], { parents = true }))
    assert.are.equal("EEXIST", (select(3, fs.mkdir(folder["a/b/c"]))))
    fs.write(folder.file, "")
    assert.are.equal("EEXIST", (select(3, fs.mkdir(folder.file, { parents = true }))))
    assert.are.equal("ENOTDIR", (select(3, fs.mkdir(folder["file/a"], { parents = true }))))
    assert(neap.run({ "ln", "-s", "loop", folder.loop }).code == 0)
    assert.are.equal("ELOOP", (select(3, fs.mkdir(folder["loop/a"], { parents = true }))))
  end)

  it("removes files and empty folders, and more only when asked", function()
    local folder <close> = temporary_folder()
    fs.mkdir(folder["a/b"], { parents = true })
    fs.write(folder["a/b/file"], "")
    os.execute(("ln -s / %s"):format(support.quote(folder["a/root"])))
    assert.are.equal("ENOTEMPTY", (select(3, fs.remove(folder.a))))
    assert.is_true(fs.remove(folder["a/b/file"]))
    assert.is_true(fs.remove(folder["a/b"]))
    assert.is_true(fs.remove(folder.a, { recursive = true }))
    assert.are.equal("ENOENT", (select(3, fs.remove(folder.a))))
    assert.is_true(fs.stat("/tmp").type == "folder")
  end)

  it("removes no folder by a name that is not its own, and nothing in it either", function()
    local folder <close> = temporary_folder()
    fs.mkdir(folder["a/b"], { parents = true })
    fs.write(folder["a/file"], "")
    for _, name in ipairs({ "a/.", "a/b/..", "a/./", "a/b/..//" }) do
      for _, recursive in ipairs({ true, false }) do
        assert.are.equal("EINVAL", (select(3, fs.remove(folder[name], { recursive = recursive }))), name)
      end
      assert.are.same({ "b", "file" }, fs.list(folder.a))
    end
    fs.mkdir(folder["a/..."])
    assert.is_true(fs.remove(folder["a/..."], { recursive = true }))
    assert.is_true(fs.remove(folder["a/"], { recursive = true }))
  end)

  it("renames and copies", function()
    local folder <close> = temporary_folder()
    fs.write(folder.a, "bytes", { mode = 448 })
    assert.is_true(fs.copy(folder.a, folder.b))
    assert.are.equal("bytes", fs.read(folder.b))
    assert.are.equal(448, fs.stat(folder.b).mode)
    assert.is_true(fs.rename(folder.b, folder.c))
    assert.are.same({ "a", "c" }, fs.list(folder.path))
    assert.are.equal("EISDIR", (select(3, fs.copy(folder.path, folder.d))))
  end)

  it("writes what a link leads to, be it that nothing is there yet", function()
    local folder <close> = temporary_folder()
    os.execute(("cd %s && mkdir sub && ln -s sub/next one && ln -s ../target sub/next && ln -s me me"):format(
      support.quote(folder.path)))
    assert.is_true(fs.write(folder.one, "bytes"))
    assert.are.equal("bytes", fs.read(folder.target))
    assert.are.equal("link", fs.stat(folder.one, { follow = false }).type)
    assert.are.equal("ELOOP", select(3, fs.write(folder.me, "bytes")))
    assert.are.equal("link", fs.stat(folder.me, { follow = false }).type)
  end)

  it("writes and copies to the longest of names", function()
    local folder <close> = temporary_folder()
    local longest = ("n"):rep(255)
    assert.is_true(fs.write(folder[longest], "bytes"))
    assert.is_true(fs.copy(folder[longest], folder[longest:gsub("n", "m")]))
    assert.are.equal("bytes", fs.read(folder[longest:gsub("n", "m")]))
    assert.are.equal(2, #fs.list(folder.path))
  end)

  it("copies to where links lead, and into what is no file", function()
    local folder <close> = temporary_folder()
    os.execute(("cd %s && ln -s file link && mkfifo pipe"):format(support.quote(folder.path)))
    fs.write(folder.from, "bytes", { mode = 384 })
    fs.write(folder.file, "old")
    assert.is_true(fs.copy(folder.from, folder.link))
    assert.are.equal("link", fs.stat(folder.link, { follow = false }).type)
    assert.are.equal("bytes", fs.read(folder.file))
    assert.are.equal(384, fs.stat(folder.file).mode)
    local reader = neap.spawn(neap.run, { "cat", folder.pipe })
    assert.is_true(fs.copy(folder.from, folder.pipe))
    assert.are.equal("bytes", reader:join().stdout)
    assert.are.equal("pipe", fs.stat(folder.pipe).type)
  end)

  it("removes folders however deep they are, and no more than is in them", function()
    local folder <close> = temporary_folder()
    fs.mkdir(folder.outside)
    fs.write(folder["outside/kept"], "")
    assert.is_true(fs.mkdir(folder.deep .. ("/d"):rep(300), { parents = true }))
    assert.is_true(fs.rename(folder.deep, folder.lower))
    assert.is_true(fs.mkdir(folder.deep .. ("/d"):rep(300), { parents = true }))
    assert.is_true(fs.rename(folder.lower, folder.deep .. ("/d"):rep(300) .. "/lower"))
    os.execute(("ln -s ../outside %s"):format(support.quote(folder["deep/link"])))
    fs.write(folder["deep/d/file"], "")
    assert.is_true(fs.remove(folder.deep, { recursive = true }))
    assert.are.same({ "outside" }, fs.list(folder.path))
    assert.are.same({ "kept" }, fs.list(folder.outside))
  end)

  it("tells what could not be done, and why", function()
    for name, arguments in pairs({ read = {}, stat = {}, list = {}, walk = {}, remove = {}, open = {}, resolve = {},
      copy = { "spec/other" }, rename = { "spec/other" } }) do
      local done, message, code = fs[name]("spec/none", table.unpack(arguments))
      assert.is_nil(done, name)
      assert.are.equal("ENOENT", code, name)
      assert.is_truthy(message:find("spec/none", 1, true) and message:find("no such file or directory", 1, true), name)
    end
    assert.are.equal("ENOTDIR", (select(3, fs.write("README.md/file", "bytes"))))
  end)

  it("refuses arguments that make no sense", function()
    for name, arguments in pairs({ read = {}, write = { "x" }, append = { "x", 1 }, stat = { "x", { foo = 1 } },
      open = { "x", "rw" }, mkdir = { "x", { mode = -1 } }, rename = { "x" }, copy = { "x", {} },
      remove = { "x", { recursive = 1 } }, list = { "a\0b" } }) do
      local ok, message = pcall(fs[name], table.unpack(arguments))
      assert.is_false(ok, name)
      assert.is_truthy(message:find("bad argument #%d to '" .. name .. "'"), message)
    end
  end)

  it("lets other tasks run meanwhile", function()
    local path = os.tmpname()
    os.remove(path)
    os.execute("mkfifo " .. support.quote(path)) -- opened by one side, it waits for the other
    local reader = grid.parked_task(fs.read, path)
    support.write_file(path, "bytes")
    assert.are.equal("bytes", reader:join())
    os.remove(path)
  end)
end)

describe("an open file", function()
  local function opened(folder, bytes, mode)
    fs.write(folder.file, bytes)
    return assert(fs.open(folder.file, mode))
  end

  it("reads pieces, lines, what there is, and all", function()
    local folder <close> = temporary_folder()
    local file <close> = opened(folder, "one\r\ntwo\n12345rest")
    assert.are.equal("one", (file:read("line")))
    assert.are.equal("two", (file:read("line")))
    assert.are.equal("12345", (file:read(5)))
    assert.are.equal("rest", (file:read()))
    assert.are.same(table.pack(nil, "closed", "closed"), table.pack(file:read()))
    assert.are.equal("", (file:read("all")))
  end)

  it("lists its lines", function()
    local folder <close> = temporary_folder()
    local file <close> = opened(folder, "one\n\nthree")
    local lines = {}
    for line in file:lines() do lines[#lines + 1] = line end
    assert.are.same({ "one", "", "three" }, lines)
  end)

  it("writes where it stands, and moves", function()
    local folder <close> = temporary_folder()
    local file <close> = opened(folder, "0123456789", "r+")
    assert.are.equal("012", (file:read(3)))
    assert.are.equal(3, file:seek())
    assert.is_true(file:write("abc"))
    assert.are.equal("6789", (file:read("all")))
    assert.are.equal(2, file:seek("set", 2))
    assert.are.equal("2abc6", (file:read(5)))
    assert.are.equal(10, file:seek("end"))
    assert.is_true(file:write("!"))
    assert.is_true(file:sync())
    assert.are.equal("012abc6789!", fs.read(folder.file))
  end)

  it("is emptied, or added to, by its mode", function()
    local folder <close> = temporary_folder()
    local file = opened(folder, "old", "a")
    file:write("+new")
    assert.is_true(file:close())
    assert.are.equal("old+new", fs.read(folder.file))
    fs.open(folder.file, "w"):close()
    assert.are.equal("", fs.read(folder.file))
    assert.are.equal("EBADF", (select(3, fs.open(folder.file, "r"):write("x"))))
  end)

  it("is used by one task after the other", function()
    local folder <close> = temporary_folder()
    local file <close> = opened(folder, "", "w")
    local writers = {}
    for i = 1, 20 do writers[i] = neap.spawn(function() return file:write(("%02d\n"):format(i):rep(1000)) end) end
    neap.gather(writers)
    local expected = {}
    for i = 1, 20 do expected[i] = ("%02d\n"):format(i):rep(1000) end
    assert.are.equal(table.concat(expected), fs.read(folder.file))
  end)

  it("loses nothing when a read is cancelled", function()
    local path = os.tmpname()
    os.remove(path)
    os.execute("mkfifo " .. support.quote(path))
    local file <close> = fs.open(path, "r+") -- a pipe: what is not there must be waited for
    local reader = grid.parked_task(function() return file:read(4) end)
    reader:cancel()
    grid.assert_cancelled(reader)
    support.write_file(path, "abcdefgh")
    assert.are.equal("abcd", (file:read(4)))
    assert.are.equal("efgh", (file:read(4)))
    os.remove(path)
  end)

  it("is closed also while a write goes on that was cancelled, which is done all the same", function()
    local folder <close> = temporary_folder()
    local size = 2 ^ 18 | 0 -- more than a pipe takes
    assert(neap.run({ "mkfifo", folder.pipe }).code == 0)
    for _ = 1, 2 do
      local outside = assert(fs.open(folder.pipe, "r+"))
      local reader <close> = assert(fs.open(folder.pipe))
      local writer = grid.parked_task({ quiet = true }, function()
        local file <close> = outside
        file:write(("x"):rep(size))
      end)
      assert.has_error(function() outside:close() end, "another task reads or writes this file")
      writer:cancel()
      assert.is_true(neap.is_cancelled(select(2, pcall(writer.join, writer))))
      assert.is_true(outside:is_closed())
      assert.is_true(outside:close())
      assert.has_error(function() outside:write("y") end, "the file is closed")
      assert.are.equal(size, #reader:read("all"))
    end
  end)

  it("is closed with the variable that holds it", function()
    local folder <close> = temporary_folder()
    local outside = opened(folder, "x")
    do local inside <close> = outside end -- luacheck: ignore
    assert.is_true(outside:is_closed())
    assert.has_error(function() outside:read() end, "the file is closed")
    assert.is_truthy(tostring(outside):find("^file: 0x%x+ %(closed%)$"))
  end)
end)
