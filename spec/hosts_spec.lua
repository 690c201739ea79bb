-- Programs in C and C++ that use the library: scripts/examples/hosts, built by `make`.
local support = require "spec.support"

local folder = support.runner:match("^(.*)/neap$") .. "/hosts/"

--- What the comment at the head of a source says that the program prints.
local function promised(name)
  local text = support.read_file("scripts/examples/hosts/" .. name)
  local head = name:find("cpp$") and text:match("^(.-)\n#include"):gsub("\n// ?", "\n")
    or text:match("^/%*(.-)%*/"):gsub("\n %* ?", "\n")
  local lines = {}
  for line in (head .. "\n"):gmatch("(.-)\n") do
    local shown = line:match("^  (.*)$")
    if shown and not shown:find("^cc ") then lines[#lines + 1] = shown:match("^(.-)%s*$") end
  end
  return table.concat(lines, "\n") .. "\n"
end

local hosts <const> = { "smallest.c", "children.c", "jobs.c", "poller.c", "raii.cpp", "untrusted.c" }

describe("neap.h", function()
  it("has no function that spec/host/misuse_test.c does not misuse", function()
    local source = support.read_file("spec/host/misuse_test.c")
    for name in support.read_file("bindings/neap.h"):gmatch("NEAP_API [^;]-%f[%w_](neap_[%w_]+)%(") do
      assert.is_truthy(source:find("%f[%w_]" .. name .. "%f[^%w_]"), name)
    end
  end)
end)

describe("the example host", function()
  -- For who runs this spec alone: after `make test` and the like there is nothing to do.
  setup(function()
    local targets = {}
    for i, name in ipairs(hosts) do targets[i] = folder:match("build/.*$") .. name:match("^%w+") end
    assert(os.execute("make -s MAKEFLAGS= " .. table.concat(targets, " ")))
  end)

  for _, name in ipairs(hosts) do
    it(name .. " prints what its head says", function()
      local command = folder .. name:match("^%w+")
      if name == "untrusted.c" and support.sanitizer then command = command .. " 2" end -- there 100 ms are little
      local result = support.run_command(command, { limit = 120 })
      assert.are.same({ status = 0, stdout = promised(name), stderr = "" }, result)
    end)
  end
end)
