local neap = require "neap"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races, raises = trial.it_races, trial.raises

--- Small ones share memory with others, large ones have it for themselves.
local sizes = { 1, 100, 100000 }

describe("buffer", function()
  it("is zeros, or the bytes of a string", function()
    for _, size in ipairs(sizes) do
      local buffer = neap.buffer(size)
      assert.are.equal(size, #buffer)
      assert.are.equal(("\0"):rep(size), buffer:string())
    end
    assert.are.equal("a\0b", neap.buffer("a\0b"):string())
    assert.are.equal(0, #neap.buffer(0))
    assert.are.equal("", neap.buffer(""):string())
  end)

  it("refuses what is no size and no string", function()
    raises("size or string expected, got no value", neap.buffer)
    raises("size or string expected, got table", neap.buffer, {})
    raises("must not be negative", neap.buffer, -1)
    raises("no integer representation", neap.buffer, 1.5)
    for _, size in ipairs({ 1 << 50, 1 << 62, math.maxinteger }) do raises("not enough memory", neap.buffer, size) end
  end)

  it("sets and gives bytes by index", function()
    local buffer = neap.buffer("abc")
    assert.are.equal(97, buffer[1])
    buffer[3] = 255
    buffer[2.0] = 0
    assert.are.equal("a\0\255", buffer:string())
    for _, index in ipairs({ 0, -1, 4, math.maxinteger, math.mininteger }) do
      raises("out of bounds: the buffer has 3 bytes", function() return buffer[index] end)
      raises("out of bounds: the buffer has 3 bytes", function() buffer[index] = 1 end)
    end
    for _, byte in ipairs({ -1, 256, 1.5, "1", true }) do
      raises("a byte is an integer from 0 to 255, not", function() buffer[1] = byte end)
    end
    raises("no field 'x' to set", function() buffer.x = 1 end)
    raises("index 1.5 is no integer", function() return buffer[1.5] end)
    assert.is_nil(buffer.x)
  end)

  it("gives parts of it as string.sub does", function()
    local text = "0123456789"
    local buffer = neap.buffer(text)
    for _, first in ipairs({ -12, -10, -3, -1, 0, 1, 5, 10, 11, math.mininteger, math.maxinteger }) do
      assert.are.equal(text:sub(first), buffer:sub(first))
      for _, last in ipairs({ -12, -10, -3, -1, 0, 1, 5, 10, 11, math.mininteger, math.maxinteger }) do
        assert.are.equal(text:sub(first, last), buffer:sub(first, last))
      end
    end
    assert.are.equal(text, buffer:sub())
  end)

  it("is written to, and says where it goes on", function()
    local buffer = neap.buffer(6)
    assert.are.equal(4, buffer:write(1, "abc"))
    assert.are.equal(7, buffer:write(4, neap.buffer("def")))
    assert.are.equal(7, buffer:write(7, ""))
    assert.are.equal("abcdef", buffer:string())
    buffer:write(2, buffer:slice(1, 4)) -- what overlaps is moved
    assert.are.equal("aabcdf", buffer:string())
    raises("bytes 5 to 7 are out of bounds: the buffer has 6 bytes", buffer.write, buffer, 5, "xyz")
    raises("out of bounds", buffer.write, buffer, 0, "x")
    raises("out of bounds", buffer.write, buffer, 8, "")
    raises("string or buffer expected, got number", buffer.write, buffer, 1, 5)
    assert.are.equal("aabcdf", buffer:string())
  end)

  it("is filled, whole or in part", function()
    local buffer = neap.buffer(5)
    buffer:fill(65)
    buffer:fill(66, 4)
    buffer:fill(0, 2, 3)
    buffer:fill(1, 3, 2)
    assert.are.equal("A\0\0BB", buffer:string())
    raises("out of bounds", buffer.fill, buffer, 1, 5, 6)
    raises("a byte is", buffer.fill, buffer, 256)
  end)

  it("packs and unpacks numbers as the string library does", function()
    local buffer = neap.buffer(32)
    local position = buffer:pack(1, "<i4 d z", -7, 0.5, "text")
    assert.are.equal(1 + 4 + 8 + 5, position)
    assert.are.same({ -7, 0.5, "text", position }, { buffer:unpack(1, "<i4 d z") })
    assert.are.same({ 0.5, 13 }, { buffer:unpack(5, "d") })
    raises("out of bounds", buffer.pack, buffer, 30, "i4", 1)
    raises("too short", buffer.unpack, buffer, 30, "i4")
    raises("invalid format", buffer.pack, buffer, 1, "y", 1)
    raises("invalid format", buffer.unpack, buffer, 1, "y")
  end)

  it("has slices that are the same bytes", function()
    local buffer = neap.buffer("abcdef")
    local middle = buffer:slice(2, 5)
    local inner = middle:slice(2)
    assert.are.equal("cde", inner:string())
    inner[1] = 67
    buffer[4] = 68
    assert.are.equal("bCDe", middle:string())
    assert.are.equal(0, #buffer:slice(3, 2))
    assert.are.equal(0, #buffer:slice(7))
    raises("out of bounds", buffer.slice, buffer, 0)
    raises("out of bounds", buffer.slice, buffer, 2, 7)
    raises("out of bounds: the buffer has 4 bytes", function() return middle[5] end)
    buffer = nil -- luacheck: ignore
    collectgarbage()
    assert.are.equal("CDe", inner:string())
  end)

  it("is equal to what is the same part of the same bytes", function()
    local buffer = neap.buffer("abc")
    assert.are.equal(buffer:slice(1, 2), buffer:slice(1, 2))
    assert.is_true(buffer:slice() == buffer)
    assert.is_false(buffer:slice(1, 2) == buffer:slice(2, 3))
    assert.is_false(buffer == neap.buffer("abc"))
  end)

  it("can be read, and not written to, once it is sealed: whole, slices, large and small", function()
    for _, size in ipairs(sizes) do
      local buffer = neap.buffer(("x"):rep(size))
      local slice = buffer:slice(1, 1)
      assert.is_false(slice:is_sealed())
      assert.are.equal(slice, slice:seal())
      assert.is_true(buffer:is_sealed())
      buffer:seal()
      for _, part in ipairs({ buffer, slice, buffer:slice() }) do
        raises("the buffer is sealed", part.write, part, 1, "y")
        raises("the buffer is sealed", part.fill, part, 0)
        raises("the buffer is sealed", part.pack, part, 1, "b", 1)
        raises("the buffer is sealed", function() part[1] = 1 end)
        assert.are.equal("x", part:sub(1, 1))
      end
    end
  end)

  it("says what it is and how it stands", function()
    local buffer = neap.buffer(3)
    assert.is_truthy(tostring(buffer):find("^buffer: 0x%x+ %(3 bytes%)$"))
    assert.is_truthy(tostring(buffer:seal()):find("%(3 bytes, sealed%)$"))
    raises("buffer expected, got string", buffer.sub, "abc")
  end)

  it("travels without a copy: as an argument, an upvalue, a result, through a channel", function()
    for _, size in ipairs(sizes) do
      local buffer, ch = neap.buffer(size + 3), neap.channel(1)
      ch:send({ buffer:slice(3, 3) })
      local result = neap.thread(function(argument)
        argument[1] = 49
        buffer[2] = 50
        ch:recv()[1][1] = 51
        return argument:slice(1, 3)
      end, buffer):join()
      assert.are.equal("123", buffer:sub(1, 3))
      assert.are.equal("123", result:string())
      buffer[1] = 48
      assert.are.equal("023", result:string())
    end
  end)

  it("is the same handle when it comes back", function()
    local buffer = neap.buffer(10)
    local slice = buffer:slice(2)
    local back, slice_back = neap.thread(function(...) return ... end, buffer, slice):join()
    assert.is_true(rawequal(buffer, back))
    assert.is_true(rawequal(slice, slice_back))
  end)

  it("outlives the thread that made it", function()
    local slice = neap.thread(function() return neap.buffer("made elsewhere"):slice(6) end):join()
    collectgarbage()
    assert.are.equal("elsewhere", slice:string())
  end)

  it("gives its memory back when it is collected", function()
    for i = 1, 2000 do neap.buffer(8 << 20)[i] = 1 end -- 16 GB, if none went
  end)

  it("is refused when no descriptor is left, and made again when there is one", function()
    local script = support.temporary_file([[
      local neap = require "neap"
      local kept, first, done, message = {}, neap.value("i32"), nil, nil
      repeat
        done, message = pcall(neap.buffer, 100000)
        kept[#kept + 1] = done and message or nil
      until not done
      print(message:match("EMFILE"), #kept > 10, first:add(1), neap.value("i32", 7):get())
      kept = nil
      collectgarbage()
      print(#neap.buffer(100000))]])
    local _ <close> = script
    local result = support.run_command(("sh -c 'ulimit -n 64; exec %s %s'"):format(support.runner, script.path))
    assert.are.same({ status = 0, stderr = "", stdout = "EMFILE\ttrue\t1\t7\n100000\n" }, result)
  end)

  it_races("has what was written before it was sealed, and nothing later", function()
    for _ = 1, 10 * support.stress do
      local buffer = neap.buffer(3 * 20000)
      local function write(part)
        local n = 0
        while pcall(part.fill, part, n % 256) do n = n + 1 end
        return (n - 1) % 256
      end
      local parts, threads = { buffer:slice(1, 20000), buffer:slice(20001, 40000) }, {}
      for i, part in ipairs(parts) do threads[i] = neap.thread(write, part) end
      neap.yield()
      buffer:seal()
      for i, part in ipairs(parts) do
        local last = threads[i]:join()
        if part[1] ~= 0 or last ~= 255 then assert.are.equal(string.char(last):rep(20000), part:string()) end
      end
    end
  end)
end)
