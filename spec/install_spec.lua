-- The installed tree: what `make install` puts where, and a host that is built against it with pkg-config alone.
local support = require "spec.support"

local quote = support.quote

local function run(command)
  local result = support.run_command("sh -c " .. quote(command .. " 2>&1"), { limit = 100 })
  assert.are.equal(0, result.status, command .. "\n" .. result.stdout)
  return result.stdout
end

local function temporary_folder()
  local path = run("mktemp -d"):match("%S+")
  return setmetatable({ path = path }, { __close = function() os.execute("rm -rf " .. quote(path)) end })
end

local function install(prefix, destination)
  run(("make -s install PREFIX=%s DESTDIR=%s MAKEFLAGS="):format(quote(prefix), quote(destination or "")))
end

local function list(folder) return run("cd " .. quote(folder) .. " && find . -type f -o -type l | sort") end

-- Under a sanitizer the library in the installed tree is replaced by one that was made for it; the rest is the product,
-- whatever flavour is being tested.
if support.sanitizer then
  local flags = {
    asan = "-fsanitize=address,undefined",
    tsan = "-fsanitize=thread -Iengine spec/tsan.c -Wl,--wrap=__longjmp_chk -Wl,--wrap=neap_futex_wait",
  }

  describe("an installed tree with a sanitizer", function()
    it("has hosts in C and C++, with children too", function()
      local folder <close> = temporary_folder()
      install(folder.path)
      local flavour = support.runner:match("^(.*)/neap$")
      run(("rm %s/lib/libneap.*"):format(folder.path))
      run(("cc -r -nostdlib -o %s/neap.o -Wl,--whole-archive %s/libneap-bindings.a %s/libneap-engine.a "
        .. "-Wl,--no-whole-archive -l:libhttp_parser.a"):format(folder.path, flavour, flavour))
      run(("ar rcs %s/lib/libneap.a %s/neap.o"):format(folder.path, folder.path))
      local build = "%s -o %s/host %s scripts/examples/hosts/%s $(PKG_CONFIG_PATH=%s/lib/pkgconfig "
        .. "pkg-config --static --cflags --libs neap)"
      local function shown(compiler, source)
        run(build:format(compiler, folder.path, flags[support.sanitizer], source, folder.path))
        return run(folder.path .. "/host")
      end
      assert.are.equal("1 + 2 = 3\n", shown("cc -std=gnu11", "smallest.c"))
      assert.is_truthy(shown("cc -std=gnu11", "children.c"):find("primes below 20000: 2262\n", 1, true))
      -- The shim for the thread sanitizer is C.
      if support.sanitizer == "asan" then
        assert.is_truthy(shown("c++ -std=c++17", "raii.cpp"):find("squares: 1 4 9 16 25", 1, true))
      end
    end)
  end)
  return
end

describe("make install", function()
  it("puts everything below PREFIX, and uninstall takes it away", function()
    local folder <close> = temporary_folder()
    install(folder.path)
    local files = list(folder.path)
    for _, name in ipairs { "bin/neap", "include/neap.h", "lib/libneap.a", "lib/libneap.so", "lib/libneap.so.0",
      "lib/libneap.so.0.1.0", "lib/lua/5.4/neap.so", "lib/pkgconfig/neap.pc", "share/man/man1/neap.1",
      "share/neap/types/neap.lua", "share/doc/neap/README.md",
      "share/doc/neap/examples/chat.lua", "share/doc/neap/examples/hosts/smallest.c" } do
      assert.is_truthy(files:find("./" .. name .. "\n", 1, true), name)
    end
    assert.are.equal("5\n", run(folder.path .. "/bin/neap -e 'print(2 + 3)'"))
    local example = "cd %s/share/doc/neap/examples && ../../../../bin/neap join.lua >/dev/null"
    run(example:format(quote(folder.path)))
    assert.are.equal("true\n", run(("LUA_CPATH=%s/lib/lua/5.4/?.so lua5.4 -e 'print(require(\"neap\").now() > 0)'")
      :format(folder.path)))
    run(("make -s uninstall PREFIX=%s MAKEFLAGS="):format(quote(folder.path)))
    assert.are.equal("", list(folder.path))
  end)

  it("goes below DESTDIR, which nothing that is installed mentions", function()
    local folder <close> = temporary_folder()
    install("/usr", folder.path)
    local pc = support.read_file(folder.path .. "/usr/lib/pkgconfig/neap.pc")
    assert.is_truthy(pc:find("prefix=/usr\n", 1, true))
    assert.is_nil(pc:find(folder.path, 1, true))
  end)

  it("lets hosts be built with pkg-config alone, shared and static", function()
    local folder <close> = temporary_folder()
    install(folder.path)
    local flags = ("PKG_CONFIG_PATH=%s/lib/pkgconfig pkg-config"):format(folder.path)
    assert.are.equal("0.1.0\n", run(flags .. " --modversion neap"))
    local program = folder.path .. "/smallest"
    local build = "%s -Wall -Wextra -Werror -o %s scripts/examples/hosts/%s $(%s %s --libs neap)"
    run(build:format("cc -std=c11", program, "smallest.c", flags, "--cflags"))
    assert.are.equal("1 + 2 = 3\n", run(("LD_LIBRARY_PATH=%s/lib %s"):format(folder.path, program)))
    assert.is_truthy(run("readelf -d " .. program):find("[libneap.so.0]", 1, true))
    run(build:format("c++ -std=c++17", program, "raii.cpp", flags, "--cflags"))
    local shown = run(("LD_LIBRARY_PATH=%s/lib %s"):format(folder.path, program))
    assert.is_truthy(shown:find("squares: 1 4 9 16 25", 1, true))
    run("rm " .. folder.path .. "/lib/libneap.so*")
    run(build:format("cc -std=c11", program, "smallest.c", flags, "--static --cflags"))
    assert.are.equal("1 + 2 = 3\n", run(program))
  end)

  it("gives hosts children: the installed runner, or the host's own program", function()
    local folder <close> = temporary_folder()
    install(folder.path)
    local flags = ("PKG_CONFIG_PATH=%s/lib/pkgconfig pkg-config --cflags --libs neap"):format(folder.path)
    local path, program = "LD_LIBRARY_PATH=" .. folder.path .. "/lib ", folder.path .. "/children"
    run(("cc -o %s scripts/examples/hosts/children.c $(%s)"):format(program, flags))
    local counted = run(path .. program)
    local unnamed = support.read_file("scripts/examples/hosts/children.c"):gsub("[^\n]*child_program[^\n]*", "")
    support.write_file(folder.path .. "/unnamed.c", unnamed)
    run(("cc -o %s %s/unnamed.c $(%s)"):format(program, folder.path, flags))
    assert.are.equal(counted, run("env -u NEAP_RUNNER PATH=/usr/bin:/bin " .. path .. program))
    run(("mv %s/bin/neap %s/bin/neap2"):format(folder.path, folder.path))
    local lost = support.run_command("env -u NEAP_RUNNER PATH=/usr/bin:/bin " .. path .. program)
    assert.are.equal(1, lost.status)
    assert.is_truthy(lost.stderr:find("the program neap was not found", 1, true), lost.stderr)
  end)

  it("shows only what neap.h declares", function()
    local folder <close> = temporary_folder()
    install(folder.path)
    local declared = {}
    for name in support.read_file("bindings/neap.h"):gmatch("NEAP_API [^;]-%f[%w_](neap_[%w_]+)%(") do
      declared[name] = true
    end
    local count = 0
    for line in run("nm -D --defined-only " .. folder.path .. "/lib/libneap.so"):gmatch("[^\n]+") do
      local kind, name = line:match(" (%u) ([%w_]+)")
      if kind == "T" or kind == "D" or kind == "B" then
        count = count + 1
        assert.is_true(declared[name], name)
      end
    end
    local expected = 0
    for _ in pairs(declared) do expected = expected + 1 end
    assert.are.equal(expected, count)
    for line in run("nm -g --defined-only " .. folder.path .. "/lib/libneap.a"):gmatch("[^\n]+") do
      local name = line:match("^%x+ %u ([%w_]+)$")
      if name then assert.is_true(declared[name] or name == "luaopen_neap", name) end
    end
  end)

  it("has a man page that man can show", function()
    local page = run("man -l bindings/neap.1 2>/dev/null || cat bindings/neap.1")
    for option in run(support.runner .. " --help"):gmatch("\n  (%-%-?%a[%w-]*)") do
      local plain, escaped = page:find(option, 1, true), page:find(option:gsub("%-", "\\-"), 1, true)
      assert.is_truthy(plain or escaped, option)
    end
  end)
end)
