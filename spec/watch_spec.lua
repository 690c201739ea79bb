-- neap.fs.watch: what happens to files, told as it happens.

local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

local assert, describe, it = assert, describe, it
local fs = neap.fs

local LIMIT = 60 -- seconds; what is waited for comes at once

local function new_folder()
  local path = os.tmpname()
  os.remove(path)
  assert(fs.mkdir(path))
  return path
end

--- A new folder, removed with all that is in it when the variable is closed.
local function temporary_folder()
  local path = new_folder()
  return setmetatable({ path = path }, { __close = function() fs.remove(path, { recursive = true }) end,
    __index = function(_, name) return path .. "/" .. name end })
end

--- The events that come before a file called "end" is made, which the caller has done last: "kind name".
local function told(watch)
  local events = {}
  for event in watch:iter() do
    if event.name == "end" then return events end
    events[#events + 1] = event.kind .. " " .. event.name
  end
  return events
end

local rubbish = { __gc = function(object) os.execute("rm -r " .. support.quote(object.folder)) end }

grid.ask("watch:next", {
  blocked = function()
    local folder = new_folder()
    return setmetatable({ watch = assert(fs.watch(folder)), folder = folder, made = 0 }, rubbish)
  end,
  wait = function(object, timeout)
    local event, message, code = object.watch:next(timeout)
    if not event then return nil, message, code end
    return event.kind
  end,
  serve = function(object)
    object.made = object.made + 1
    fs.mkdir(object.folder .. "/" .. object.made)
  end,
  served = table.pack("created"),
  stays = true,
})

describe("neap.fs.watch", function()
  it("tells what happens in a folder, in order", function()
    local folder <close> = temporary_folder()
    local watch <close> = assert(fs.watch(folder.path))
    support.write_file(folder.a, "x")
    fs.mkdir(folder.b)
    os.remove(folder.a)
    fs.write(folder["end"], "")
    assert.are.same({ "created a", "changed a", "created b", "removed a" }, { table.unpack(told(watch), 1, 4) })
  end)

  it("names the path below the one that is watched, as that was given", function()
    local folder <close> = temporary_folder()
    for _, path in ipairs { folder.path, folder.path .. "/" } do
      local watch <close> = assert(fs.watch(path))
      fs.mkdir(folder.sub)
      assert.are.same({ kind = "created", name = "sub", path = folder.sub }, watch:next(LIMIT))
      fs.remove(folder.sub)
    end
  end)

  it("tells of a change after its file was made, also when only its mode changes", function()
    local folder <close> = temporary_folder()
    fs.write(folder.a, "x")
    local watch <close> = assert(fs.watch(folder.path))
    fs.append(folder.a, "y")
    assert.are.same({ kind = "changed", name = "a", path = folder.a }, watch:next(LIMIT))
    os.execute("chmod 600 " .. support.quote(folder.a))
    assert.are.same({ kind = "changed", name = "a", path = folder.a }, watch:next(LIMIT))
  end)

  it("tells changes that follow each other once", function()
    local folder <close> = temporary_folder()
    fs.write(folder.a, "")
    local watch <close> = assert(fs.watch(folder.path))
    for _ = 1, 20 do
      fs.append(folder.a, "y")
      os.execute("chmod 600 " .. support.quote(folder.a))
    end
    fs.mkdir(folder["end"])
    assert.are.same({ "changed a" }, told(watch))
  end)

  it("tells of both names of a renaming, with a number that they share", function()
    local folder <close> = temporary_folder()
    fs.write(folder.a, "")
    fs.write(folder.b, "")
    local watch <close> = assert(fs.watch(folder.path))
    fs.rename(folder.a, folder.c)
    fs.rename(folder.b, folder.d)
    local events = {}
    for i = 1, 4 do events[i] = watch:next(LIMIT) end
    local first, second = events[1].renaming, events[3].renaming
    assert.are.equal("integer", math.type(first))
    assert.are_not.equal(first, second)
    assert.are.same({
      { kind = "removed", name = "a", path = folder.a, renaming = first },
      { kind = "created", name = "c", path = folder.c, renaming = first },
      { kind = "removed", name = "b", path = folder.b, renaming = second },
      { kind = "created", name = "d", path = folder.d, renaming = second },
    }, events)
  end)

  it("has names as long as the system allows", function()
    local folder <close> = temporary_folder()
    local name = ("n"):rep(255)
    local watch <close> = assert(fs.watch(folder.path))
    fs.mkdir(folder[name])
    assert.are.same({ kind = "created", name = name, path = folder[name] }, watch:next(LIMIT))
  end)

  it("of a file tells of nothing else in its folder, and goes on when another takes its place", function()
    local folder <close> = temporary_folder()
    fs.write(folder.a, "old")
    local watch <close> = assert(fs.watch(folder.a))
    support.write_file(folder.b, "x")
    fs.write(folder.a, "new")
    local event = watch:next(LIMIT)
    event.renaming = nil
    assert.are.same({ kind = "created", name = "a", path = folder.a }, event)
    fs.append(folder.a, "er")
    assert.are.same({ kind = "changed", name = "a", path = folder.a }, watch:next(LIMIT))
    fs.remove(folder.a)
    assert.are.same({ kind = "removed", name = "a", path = folder.a }, watch:next(LIMIT))
    assert.are.equal("timeout", (select(3, watch:next(0))))
  end)

  it("follows a link", function()
    local folder <close> = temporary_folder()
    fs.mkdir(folder.sub)
    fs.write(folder["sub/a"], "")
    os.execute(("ln -s sub/a %s"):format(support.quote(folder.link)))
    local watch <close> = assert(fs.watch(folder.link))
    fs.append(folder["sub/a"], "x")
    assert.are.same({ kind = "changed", name = "a", path = folder.link }, watch:next(LIMIT))
  end)

  it("ends when its folder is removed, or moved, after telling so", function()
    local folder <close> = temporary_folder()
    fs.mkdir(folder.one)
    fs.mkdir(folder.two)
    local one <close> = assert(fs.watch(folder.one))
    local two <close> = assert(fs.watch(folder.two))
    fs.remove(folder.one)
    fs.rename(folder.two, folder.three)
    fs.write(folder["three/unseen"], "")
    for path, watch in pairs { [folder.one] = one, [folder.two] = two } do
      assert.are.same({ kind = "removed", name = "", path = path }, watch:next(LIMIT))
      assert.is_true(watch:is_closed())
      assert.are.same(table.pack(nil, "closed", "closed"), table.pack(watch:next()))
    end
  end)

  it("of a file whose folder goes ends, and tells once that it was removed", function()
    local folder <close> = temporary_folder()
    fs.mkdir(folder.one)
    fs.write(folder["one/a"], "")
    local watch <close> = assert(fs.watch(folder["one/a"]))
    fs.remove(folder.one, { recursive = true })
    assert.are.same({ "removed a" }, told(watch))
    assert.is_true(watch:is_closed())
  end)

  it("says that events are missing when there were too many", function()
    local folder <close> = temporary_folder()
    local most = tonumber(support.read_file("/proc/sys/fs/inotify/max_queued_events"))
    local watch <close> = assert(fs.watch(folder.path))
    for _ = 1, most // 2 + 1 do
      io.open(folder.a, "w"):close()
      os.remove(folder.a)
    end
    local event
    repeat event = watch:next(LIMIT) until event.kind == "overflow"
    assert.are.same({ kind = "overflow" }, event)
    fs.mkdir(folder.b)
    assert.are.equal("b", watch:next(LIMIT).name)
  end)

  it("returns nil, a message and a code for what is not there", function()
    assert.are.same(table.pack(nil, "cannot watch /nowhere: no such file or directory", "ENOENT"),
      table.pack(fs.watch("/nowhere")))
    assert.has_error(function() fs.watch() end, "bad argument #1 to 'watch' (path expected, got nil)")
  end)
end)

describe("a watch", function()
  it("is selected over, and the event is the result", function()
    local folder <close> = temporary_folder()
    local watch <close>, channel = assert(fs.watch(folder.path)), neap.channel()
    local waiter = grid.parked_task(neap.select, { channel, watch }, LIMIT)
    fs.mkdir(folder.sub)
    local index, event = waiter:join()
    assert.are.same({ 2, { kind = "created", name = "sub", path = folder.sub } }, { index, event })
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(neap.select({ channel, watch }, 0)))
    watch:close()
    assert.are.same(table.pack(2, nil, "closed", "closed"), table.pack(neap.select { channel, watch }))
  end)

  it("gives each event to one of those who wait", function()
    local folder <close> = temporary_folder()
    local watch <close> = assert(fs.watch(folder.path))
    local waiters = {}
    for i = 1, 3 do waiters[i] = grid.parked_task(function() return watch:next(LIMIT).name end) end
    for _, name in ipairs { "a", "b", "c" } do fs.mkdir(folder[name]) end
    local names = neap.gather(waiters)
    table.sort(names)
    assert.are.same({ "a", "b", "c" }, names)
  end)

  it("is closed while somebody waits, who is told", function()
    local folder <close> = temporary_folder()
    local watch = assert(fs.watch(folder.path))
    local waiter = grid.parked_task(function() return select(3, watch:next()) end)
    assert.is_true(watch:close())
    assert.is_false(watch:close())
    assert.are.equal("closed", (waiter:join()))
    assert.is_truthy(tostring(watch):find("^watch: 0x%x+ %(closed%)$"))
  end)

  it("is closed with the variable that holds it", function()
    local outside = assert(fs.watch("/tmp"))
    do local inside <close> = outside end -- luacheck: ignore
    assert.is_true(outside:is_closed())
  end)

  it("ends an iteration when it is closed", function()
    local watch = assert(fs.watch("/proc"))
    local waiter = grid.parked_task(function() for _ in watch:iter() do end return "over" end)
    watch:close()
    assert.are.equal("over", waiter:join())
  end)

  it("that nobody waits on keeps no program from ending, nor its deadlock from being seen", function()
    local folder <close> = temporary_folder()
    local result = support.run_script([[
      local watch = neap.fs.watch((...))
      watch:next(0.001)
      neap.channel():recv()]], { folder.path })
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("deadlock", 1, true))
  end)

  it("cannot be sent", function()
    local watch <close> = assert(fs.watch("/tmp"))
    assert.has_error(function() neap.channel(1):send(watch) end)
  end)
end)
