-- neap.progress: bars on a terminal, lines elsewhere.

local support = require "spec.support"
local Terminal = require "spec.terminal"

--- Runs a script. What depends on the time that it takes is left out of its stderr: rates, times, lines in between.
local function run(code)
  local result = support.run_script(code)
  local text = result.stderr:gsub("[^\n]* left\n", ""):gsub(" [%d.]+ ?%a?B?/s", "")
  result.stderr = text:gsub("in %d+:%d%d\n", "in TIME\n")
  return result
end

local path

before_each(function() path = os.tmpname() end)
after_each(function() os.remove(path) end)

--- Runs a script on a terminal of its own.
local function open(code, options)
  options = options or {}
  support.write_file(path, 'local neap = require "neap" ' .. code)
  options.command = ("%s %s"):format(support.runner, support.quote(path))
  return Terminal.open(options)
end

describe("a loop over neap.progress", function()
  local function items_of(code)
    local result = run("local seen = {} " .. code .. " print(table.concat(seen, ' '))")
    assert.are.equal(0, result.status, result.stderr)
    return result.stdout
  end

  it("gets the items of a list, and their places", function()
    assert.are.equal("1a 2b 3c\n", items_of [[
      for item, at in neap.progress({ "a", "b", "c" }) do seen[#seen + 1] = at .. item end ]])
  end)

  it("counts to a number", function()
    assert.are.equal("1 2 3\n", items_of [[ for n in neap.progress(3) do seen[#seen + 1] = n end ]])
    assert.are.equal("\n", items_of [[ for n in neap.progress(0) do seen[#seen + 1] = n end ]])
  end)

  it("gets what an iterator gives, all values of it", function()
    assert.are.equal("a=1 b=2\n", items_of [[
      for k, v in neap.progress(("a=1 b=2"):gmatch("(%w)=(%w)")) do seen[#seen + 1] = k .. "=" .. v end ]])
    assert.are.equal("k=v\n", items_of [[
      for k, v in neap.progress(pairs({ k = "v" })) do seen[1] = k .. "=" .. v end ]])
  end)

  it("gets what comes through a channel or queue, until it is closed", function()
    for _, make in ipairs { "channel(3)", "queue()" } do
      assert.are.equal("1 2 3\n", items_of(([[
        local source = neap.%s
        neap.spawn(function()
          for n = 1, 3 do (source.send or source.put)(source, n) end
          source:close()
        end)
        for n in neap.progress(source, { total = 3 }) do seen[#seen + 1] = n end ]]):format(make)))
    end
  end)

  it("counts each once, also when the one who waits for the next is cancelled, and goes on", function()
    assert.are.equal("a b 1/2\n", items_of [[
      local source = neap.channel(2)
      local bar <close> = neap.progress(source, { total = 2 })
      local function next_item() return bar() end
      assert(not neap.timeout(0, next_item))
      source:send("a")
      seen[1] = bar()
      for _ = 1, 3 do assert(not neap.timeout(0, next_item)) end
      source:send("b")
      seen[2], seen[3] = bar(), tostring(bar):match("%d/%d") ]])
  end)

  it("gets the items of shared lists and arrays", function()
    assert.are.equal("a b 7 8\n", items_of [[
      for item in neap.progress(neap.list({ "a", "b" })) do seen[#seen + 1] = item end
      for item in neap.progress(neap.array("i32", { 7, 8 })) do seen[#seen + 1] = item end ]])
  end)

  it("gets the results of a pool, and leaves it in order", function()
    assert.are.equal("1 4 9\n", items_of [[
      local pool <close> = neap.pool(2)
      for square, at in neap.progress(pool:imap(function(n) return n * n end, { 1, 2, 3 })) do seen[at] = square end
      for square in neap.progress(pool:imap(function(n) return n * n end, { 1, 2, 3 })) do break end ]])
  end)

  it("refuses what cannot be walked through, and options that there are not", function()
    local expected = "#1 to 'progress' (a number, list, iterator, channel or queue expected, got "
    for code, problem in pairs {
      ["neap.progress('x')"] = expected .. "string)",
      ["neap.progress(neap.event())"] = expected .. "event)",
      ["neap.progress(1.5)"] = "#1 to 'progress' (a total is a whole number, 0 or more)",
      ["neap.progress(1, { colour = 1 })"] = "#2 to 'progress' (unknown option 'colour' (known: keep, label,",
      ["neap.progress(1):add('x')"] = "#1 to 'add' (whole number expected, got string)",
    } do
      local result = run(code)
      assert.is_truthy(result.stderr:find("script:1: bad argument " .. problem, 1, true), result.stderr)
    end
  end)
end)

describe("where there is no terminal", function()
  it("a bar is a line at its end", function()
    local result = run [[ for _ in neap.progress({ 1, 2 }, { label = "items", unit = "files" }) do end ]]
    assert.are.same({ status = 0, stdout = "", stderr = "items: 100% 2/2 files in TIME\n" }, result)
  end)

  it("it is none if that is not to stay", function()
    local result = run [[ for _ in neap.progress({ 1, 2 }, { keep = false }) do end ]]
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
  end)

  it("there are lines in between, few", function()
    local result = support.run_script [[
      local bar <close> = neap.progress(1000)
      for _ = 1, 240 do
        bar:add()
        neap.sleep(0.01)
      end ]]
    local lines = select(2, result.stderr:gsub("\n", ""))
    assert.is_true(lines >= 2 and lines <= 12, result.stderr)
    assert.is_truthy(result.stderr:find("^%d+%% %d+/1000 [%d.]+/s [%d:]+ left\n"), result.stderr)
    assert.is_truthy(result.stderr:find("24%% 240/1000 [%d.]+/s in %d+:%d+\n$"), result.stderr)
  end)

  it("what is not known is left out, and what is learned is not", function()
    local result = run [[
      do
        local bar <close> = neap.progress(nil, { label = "a" })
        bar:add(5)
      end
      do
        local bar <close> = neap.progress(nil, { label = "b" })
        bar:set(4)
        bar:set_total(8)
        bar:set_label("c")
        print(bar)
      end ]]
    assert.are.equal("a: 5 in TIME\nc: 50% 4/8 in TIME\n", result.stderr)
    assert.are.equal("progress: b (4/8)\n", result.stdout)
  end)

  it("bytes are written for people", function()
    local result = run [[
      local bar <close> = neap.progress(3500000, { unit = "B" })
      bar:set(1234) ]]
    assert.are.equal("0% 1.2 kB/3.5 MB in TIME\n", result.stderr)
  end)

  it("a bar that nobody has closed is left as it is at the end of the program", function()
    local result = run [[ neap.progress(3):add() ]]
    assert.are.same({ status = 0, stdout = "", stderr = "33% 1/3 in TIME\n" }, result)
  end)

  it("a bar is closed when its loop is left by an error", function()
    local result = run [[
      pcall(function() for n in neap.progress({ 1, 2, 3 }) do if n == 2 then error("x") end end end)
      io.stderr:write("after\n") ]]
    assert.are.equal("33% 1/3 in TIME\nafter\n", result.stderr)
  end)
end)

describe("a bar", function()
  it("is advanced by tasks, threads and processes, and none is lost", function()
    local result = run [[
      local bar = neap.progress(8000)
      local function work(bar) for _ = 1, 1000 do bar:add() end end
      local workers = {}
      for i = 1, 2 do
        workers[#workers + 1] = neap.spawn(work, bar)
        workers[#workers + 1] = neap.thread(work, bar)
        workers[#workers + 1] = neap.process(work, bar)
        workers[#workers + 1] = neap.thread(function(bar) neap.thread(work, bar):join() end, bar)
      end
      neap.gather(workers)
      bar:close()
      bar:close()
      print(bar) ]]
    assert.are.equal("progress: unnamed (8000/8000)\n", result.stdout)
    assert.is_truthy(result.stderr:find("100% 8000/8000", 1, true), result.stderr)
    assert.are.equal(0, result.status)
  end)

  it("may be closed elsewhere, and by a task that was cancelled", function()
    local result = run [[
      neap.thread(function(bar) bar:close() end, neap.progress(2, { label = "a" })):join()
      local task = neap.spawn(function()
        local bar <close> = neap.progress(3, { label = "b" })
        neap.sleep(100)
      end)
      neap.yield()
      task:cancel()
      task:wait()
      io.stderr:write("after\n") ]]
    assert.are.equal("a: 0% 0/2 in TIME\nb: 0% 0/3 in TIME\nafter\n", result.stderr)
  end)
end)

describe("on a terminal", function()
  local filled, empty = ("#"):rep(30), (" "):rep(30)

  it("a bar moves, and what it has come to stays", function()
    local terminal <close> = open [[
      local bar <close> = neap.progress(4, { label = "tide" })
      io.read()
      bar:add(2)
      io.read()
      bar:add(2) ]]
    terminal:expect("tide [" .. empty .. "]   0% 0/4")
    terminal:press("Enter")
    terminal:find("tide [" .. ("#"):rep(15) .. (" "):rep(15) .. "]  50% 2/4")
    terminal:press("Enter")
    terminal:find("tide [" .. filled .. "] 100% 4/4")
    terminal:find("status 0")
  end)

  it("what tasks, threads and processes print stands above, whole, and all of it", function()
    local terminal <close> = open([[
      local a <close> = neap.progress(90, { label = "a" })
      local b <close> = neap.progress(90, { label = "b" })
      local function work(name, a, b)
        for n = 1, 30 do
          print(name .. " " .. n .. ".")
          if n % 3 == 0 then io.stderr:write(name, " says ", n, ".\n") end
          a:add()
          b:add()
        end
      end
      neap.gather({
        neap.spawn(work, "task", a, b), neap.thread(work, "thread", a, b), neap.process(work, "process", a, b),
      })
      neap.log.info("logged")
      neap.log.flush() ]], { height = 50 })
    terminal:find("status 0")
    local counts, last = {}, {}
    for line in terminal:history():gmatch("[^\n]+") do
      last[#last + 1] = line
      local name = line:match("^(%l+) %d+%.$") or line:match("^(%l+ says) %d+%.$")
      if name then counts[name] = (counts[name] or 0) + 1 end
    end
    assert.are.same({
      task = 30, thread = 30, process = 30, ["task says"] = 10, ["thread says"] = 10, ["process says"] = 10,
    }, counts)
    assert.is_truthy(last[#last - 3]:find("INFO  logged"), last[#last - 3])
    assert.is_truthy(last[#last - 2]:find("^b %[#+%] 100%% 90/90"), last[#last - 2])
    assert.is_truthy(last[#last - 1]:find("^a %[#+%] 100%% 90/90"), last[#last - 1])
    assert.are.equal(120 + 4, #last)
  end)

  it("it comes back when a line that was begun is complete", function()
    local terminal <close> = open [[
      local bar <close> = neap.progress(4)
      io.read()
      io.write("begun") io.flush()
      bar:add()
      io.read()
      io.write(" and ended\n")
      io.read() ]]
    terminal:expect("[" .. empty .. "]   0% 0/4")
    terminal:press("Enter")
    terminal:await("the beginning alone", function(screen) return screen:find("begun\n$") end)
    terminal:press("Enter")
    terminal:find(" and ended\n[#######")
    terminal:press("Enter")
    terminal:find("status 0")
  end)

  it("it is as wide as the terminal allows", function()
    local terminal <close> = open([[
      local bar <close> = neap.progress(4, { label = "a label that is long" })
      io.read() ]], { width = 40 })
    terminal:expect("a label that is long [       ]   0% 0/4")
    terminal:resize(30, 24)
    terminal:expect("a label that is long   0% 0/4")
    terminal:resize(20, 24)
    terminal:expect("a label th   0% 0/4")
    terminal:press("Enter")
    terminal:find("status 0")
  end)

  it("the line of the shell is not touched when the program fails", function()
    local terminal <close> = open [[
      local bar = neap.progress(4)
      bar:add()
      error("broken") ]]
    local screen = terminal:find("status 1")
    assert.is_truthy(screen:find("broken\nstack traceback:", 1, true), screen)
    assert.is_truthy(screen:find("\n[#######", 1, true), screen)
    assert.is_truthy(screen:find("25%% 1/4 [^\n]*in %d+:%d%d\nstatus 1"), screen)
  end)
end)
