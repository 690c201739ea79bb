local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it, setup, teardown = assert, describe, it, setup, teardown
local _ENV = _G -- luacheck: ignore

local closed = table.pack(nil, "closed", "closed")

-- --- certificates, made anew for each run ---

local folder

local function openssl(words)
  local result = assert(neap.run({ "openssl", table.unpack(words) }))
  assert(result.code == 0, result.stderr)
end

local function path(name) return folder .. "/" .. name end

--- A key and a certificate of that name, for `subject`; signed by `issuer`, or by itself.
local function make_certificate(name, subject, names, issuer, days)
  openssl({ "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" .. subject,
    "-keyout", path(name .. ".key"), "-out", path(name .. ".csr") })
  local extensions = issuer and "subjectAltName=" .. names or "basicConstraints=critical,CA:TRUE"
  support.write_file(path(name .. ".ext"), extensions .. "\n")
  local signed = issuer and { "-CA", path(issuer .. ".pem"), "-CAkey", path(issuer .. ".key"), "-CAcreateserial" }
    or { "-signkey", path(name .. ".key") }
  openssl({ "x509", "-req", "-in", path(name .. ".csr"), "-days", days or "2", "-extfile", path(name .. ".ext"),
    "-out", path(name .. ".pem"), table.unpack(signed) })
end

local function make_certificates()
  folder = os.tmpname()
  os.remove(folder)
  assert(neap.fs.mkdir(folder))
  make_certificate("ca", "authority")
  make_certificate("good", "localhost", "DNS:localhost,IP:127.0.0.1", "ca")
  make_certificate("other", "elsewhere", "DNS:elsewhere.test", "ca")
  make_certificate("expired", "localhost", "DNS:localhost", "ca", "-1")
  make_certificate("client", "a client", "DNS:client", "ca")
end

local function remove_certificates() assert(neap.fs.remove(folder, { recursive = true })) end

-- --- two ends ---

local function identity(name, more)
  local options = { cert = path(name .. ".pem"), key = path(name .. ".key") }
  for key, value in pairs(more or {}) do options[key] = value end
  return options
end

local function listen(name, more) return assert(neap.net.listen("127.0.0.1", 0, { tls = identity(name, more) })) end

local function trusting(more)
  local options = { ca = path("ca.pem") }
  for key, value in pairs(more or {}) do options[key] = value end
  return options
end

local function connect(listener, options, host)
  local _, port = listener:address()
  return neap.net.connect(host or "localhost", port, { tls = options or trusting(), timeout = 60 })
end

--- The two ends of a new connection.
local function connected(more)
  local listener <close> = listen("good", more)
  local accepted = neap.spawn(function()
    local stream = assert(listener:accept())
    assert(stream:handshake())
    return stream
  end)
  local near = assert(connect(listener))
  return near, accepted:join()
end

local function both()
  local near, far = connected()
  return { near = near, far = far }
end

--- What a client is answered whose server has that certificate; and what the server sees.
local function refused(certificate, options, host)
  local listener <close> = listen(certificate)
  local server = neap.spawn(function()
    local stream <close> = listener:accept()
    return stream:read()
  end)
  local stream, message, code = connect(listener, options, host)
  assert.is_nil(stream)
  local bytes, _, seen = server:join()
  assert.is_nil(bytes)
  return message, code, seen
end

--- Starts openssl's server with `words`; returns it and its port.
local function start_openssl_server(words)
  local command = { "openssl", "s_server", "-accept", "127.0.0.1:0", stdin = "pipe", stdout = "pipe", stderr = "null" }
  for _, word in ipairs(words) do command[#command + 1] = word end
  local program = assert(neap.popen(command))
  local port
  repeat port = assert(program.stdout:read("line", 60)):match("^ACCEPT .*:(%d+)$") until port
  return program, tonumber(port)
end

describe("TLS", function()
  setup(make_certificates)
  teardown(remove_certificates)

  grid.ask("a secure stream:read", { blocked = both,
    wait = function(o, timeout) return o.near:read("line", timeout) end,
    serve = function(o) o.far:write("a line\n") end, served = table.pack("a line"), stays = true })

  describe("carries", function()
    it("bytes both ways, and their ends", function()
      local near <close>, far = connected()
      assert.is_true((near:write("to you\0\r\nand more")))
      assert.are.equal("to you\0", (far:read("line")))
      assert.is_true((far:write("and back")))
      assert.are.equal("and back", (near:read(8)))
      assert.is_true((near:shutdown()))
      assert.are.equal("and more", (far:read("all")))
      assert.are.same(closed, table.pack(far:read()))
      assert.is_true((far:write("still")))
      far:close()
      assert.are.equal("still", (near:read("all")))
      assert.are.same(closed, table.pack(near:read()))
    end)

    it("much at once, both ways at the same time", function()
      local near <close>, far = connected()
      local bytes = ("0123456789abcdef"):rep(2 ^ 17)
      local echo = neap.spawn(function()
        for piece in function() return (far:read()) end do far:write(piece) end
        far:close()
      end)
      local reader = neap.spawn(function() return near:read("all") end)
      assert.is_true((near:write(bytes)))
      near:shutdown()
      assert.is_true(reader:join() == bytes)
      echo:join()
    end)

    it("no more than the other side reads", function()
      local near <close>, far = connected()
      local writer = grid.parked_task(function() return near:write(("x"):rep(2 ^ 25)) end)
      assert.is_false(writer:wait(0) or false)
      local count = 0
      while not writer:wait(0) do count = count + #far:read() end
      near:shutdown()
      assert.are.equal(2 ^ 25, count + #far:read("all"))
    end)

    it("whole writes, also after one that was cancelled or out of time", function()
      local near <close>, far = connected()
      local ok, _, code, written = near:write(("x"):rep(2 ^ 26), 0.01)
      assert.are.same({ nil, "timeout" }, { ok, code })
      local writer = grid.parked_task(function() return near:write(("x"):rep(2 ^ 26)) end)
      writer:cancel()
      grid.assert_cancelled(writer)
      local last = neap.spawn(function()
        near:write("|the end")
        near:shutdown()
      end)
      local all = assert(far:read("all"))
      last:join()
      assert.is_truthy(all:find("^x+|the end$"))
      assert.is_true(#all >= written)
    end)

    it("what came before a read that was out of time", function()
      local near <close>, far = connected()
      near:write("half")
      assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(far:read("line", 0.01)))
      near:write(" a line\n")
      assert.are.equal("half a line", (far:read("line")))
    end)
  end)

  describe("is made with", function()
    it("a name or an address that the certificate has", function()
      local listener <close> = listen("good")
      local server = neap.spawn(function()
        for stream in listener:iter() do
          stream:handshake()
          stream:close()
        end
      end)
      for _, host in ipairs({ "localhost", "127.0.0.1", "localhost." }) do
        local stream <close> = assert(connect(listener, nil, host))
        assert.are.equal("/CN=localhost", stream:security().subject)
      end
      listener:close()
      server:join()
    end)

    it("a name that is not the host's, if that is asked for", function()
      local listener <close> = listen("other")
      local server = neap.spawn(function()
        local stream <close> = listener:accept()
        assert(stream:handshake())
        return stream:security().server_name
      end)
      local stream <close> = assert(connect(listener, trusting({ server_name = "elsewhere.test" })))
      assert.are.equal("elsewhere.test", server:join())
      assert.is_truthy(stream:security().version:find("^TLSv1%.[23]$"))
    end)

    it("a protocol that both know", function()
      local listener <close> = listen("good", { alpn = { "h2", "http/1.1" } })
      local server = neap.spawn(function()
        local stream <close> = listener:accept()
        assert(stream:handshake())
        return stream:security().alpn
      end)
      local stream <close> = assert(connect(listener, trusting({ alpn = { "spdy", "http/1.1" } })))
      assert.are.equal("http/1.1", stream:security().alpn)
      assert.are.equal("http/1.1", server:join())
    end)

    it("anybody, if one does not want to verify", function()
      local listener <close> = listen("expired")
      local server = neap.spawn(function()
        local stream <close> = listener:accept()
        stream:write("hello")
      end)
      local stream <close> = assert(connect(listener, { verify = false }))
      assert.are.equal("hello", (stream:read("all")))
      server:join()
    end)

    it("the certificate of the client, where the server asks for one", function()
      local listener <close> = listen("good", { ca = path("ca.pem") })
      local function accept()
        local stream <close> = listener:accept()
        local ok, message, code = stream:handshake()
        return ok and stream:security().subject, message, code
      end
      local server = neap.spawn(accept)
      local stream <close> = assert(connect(listener, identity("client", trusting())))
      assert.are.equal("/CN=a client", server:join())
      stream:close()
      server = neap.spawn(accept)
      local nobody <close> = connect(listener)
      assert.are.equal("tls", select(3, server:join()))
      assert.is_nil(nobody and nobody:read())
    end)
  end)

  describe("tells", function()
    it("that nobody has vouched for a certificate", function()
      local message, code, seen = refused("good", true)
      assert.are.equal("certificate", code)
      assert.is_truthy(message:find("^cannot connect to localhost port %d+: the certificate is not trusted: "))
      assert.are.equal("tls", seen)
      assert.are.equal("certificate", (select(2, refused("ca", true))))
    end)

    it("that a certificate is for another host", function()
      local message, code = refused("other", trusting())
      assert.are.equal("certificate", code)
      assert.is_truthy(message:find("hostname mismatch", 1, true), message)
      assert.are.equal("certificate", (select(2, refused("other", trusting(), "127.0.0.1"))))
    end)

    it("that a certificate has expired", function()
      local message, code = refused("expired", trusting())
      assert.are.equal("certificate", code)
      assert.is_truthy(message:find("certificate has expired", 1, true), message)
    end)

    it("that the other side does not speak TLS", function()
      local listener <close> = assert(neap.net.listen("127.0.0.1", 0))
      local server = neap.spawn(function()
        local stream <close> = listener:accept()
        stream:read()
        stream:write("220 hello, this is no TLS\r\n")
        stream:read("all")
      end)
      local stream, _, code = connect(listener)
      assert.are.same({ nil, "tls" }, { stream, code })
      server:join()
      local secure <close> = listen("good")
      local _, port = secure:address()
      local client <close> = assert(neap.net.connect("127.0.0.1", port))
      client:write("GET / HTTP/1.1\r\n\r\n")
      local accepted <close> = secure:accept()
      assert.are.equal("tls", (select(3, accepted:read())))
      assert.are.equal("tls", (select(3, accepted:write("x"))))
      assert.are.equal("tls", (select(3, accepted:handshake())))
    end)

    it("that garbage has come in the middle", function()
      local listener <close> = listen("good")
      local gate <close> = assert(neap.net.listen("127.0.0.1", 0))
      local _, port = listener:address()
      local middle = neap.spawn(function() -- passes on what comes, then adds to it
        local client <close> = gate:accept()
        local server <close> = assert(neap.net.connect("127.0.0.1", port))
        local back = neap.spawn(function()
          for piece in function() return (server:read()) end do client:write(piece) end
        end)
        local count = 0
        while count < 2 do
          server:write((assert(client:read())))
          count = count + 1
        end
        server:write(("garbage"):rep(100))
        back:join()
      end)
      local server = neap.spawn(function()
        local stream <close> = listener:accept()
        local bytes, message, code
        repeat bytes, message, code = stream:read() until not bytes
        assert(type(message) == "string")
        return code
      end)
      local stream <close> = assert(connect(gate))
      stream:write("some bytes")
      assert.are.equal("tls", server:join())
      stream:close()
      middle:join()
    end)

    it("that a connection was cut off", function()
      local listener <close> = assert(neap.net.listen("127.0.0.1", 0))
      local server = neap.spawn(function()
        local stream <close> = listener:accept()
        stream:read()
      end)
      local stream, message, code = connect(listener)
      assert.are.same({ nil, "ECONNRESET" }, { stream, code })
      assert.is_truthy(message:find("in the middle of TLS's handshake", 1, true), message)
      server:join()
    end)

    it("that the end was not announced", function()
      local program, port = start_openssl_server({ "-cert", path("good.pem"), "-key", path("good.key") })
      local stream <close> = assert(neap.net.connect("localhost", port, { tls = trusting() }))
      program.stdin:write("some bytes\n")
      assert.are.equal("some bytes", (stream:read("line")))
      program:kill(9)
      local bytes, message, code = stream:read()
      assert.are.same({ nil, "ECONNRESET" }, { bytes, code })
      assert.is_truthy(message:find("cut off", 1, true), message)
      program:wait()
    end)

    it("that there is no time for the handshake", function()
      local listener <close> = assert(neap.net.listen("127.0.0.1", 0))
      local _, port = listener:address()
      local stream, _, code = neap.net.connect("127.0.0.1", port, { tls = trusting(), timeout = 0.05 })
      assert.are.same({ nil, "timeout" }, { stream, code })
    end)

    it("that it is closed, to the other side, when the handshake is cancelled", function()
      local listener <close> = assert(neap.net.listen("127.0.0.1", 0))
      local _, port = listener:address()
      local waiter = neap.spawn(neap.net.connect, "127.0.0.1", port, { tls = trusting() })
      local stream <close> = assert(listener:accept())
      assert(stream:read("some", 60)) -- what a client says first
      waiter:cancel()
      grid.assert_cancelled(waiter)
      assert.are.equal("closed", (select(3, stream:read("some", 60))))
    end)

    it("that the other side has gone, to who writes, and not by a signal", function()
      local near, far = connected()
      far:close()
      local ok, code
      for _ = 1, 100 do
        ok, _, code = near:write(("x"):rep(2 ^ 16))
        if not ok then break end
      end
      assert.is_nil(ok)
      assert.is_truthy(code == "EPIPE" or code == "ECONNRESET", code)
      near:close()
    end)

    it("that a key is encrypted, and asks nobody for its password", function()
      openssl({ "ec", "-aes128", "-passout", "pass:secret", "-in", path("good.key"), "-out", path("encrypted.key") })
      local result = support.run_script([[
        local cert, key, encrypted = ...
        local server <close> = neap.http.serve({ tls = { cert = cert, key = key }, handler = function() return "" end })
        print(neap.net.listen("127.0.0.1", 0, { tls = { cert = cert, key = encrypted } }))
        local options = { verify = false, cert = cert, key = encrypted }
        local host, port = server:address()
        print((select(2, neap.net.connect(host, port, { tls = options }))))
        print(select(3, neap.http.get(("https://%s:%d"):format(host, port), options)))
      ]], { path("good.pem"), path("good.key"), path("encrypted.key") }, { input = ("secret\n"):rep(3) })
      local problem = ("cannot use the key %s: it is encrypted"):format(path("encrypted.key"))
      assert.are.same({ status = 0, stderr = "",
        stdout = ("nil\t%s\tcertificate\n%s\ncertificate\n"):format(problem, problem) }, result)
    end)

    it("that a file is of no use", function()
      for _, bad in ipairs({ { cert = path("none.pem") }, { cert = path("good.key") },
        { cert = path("good.pem"), key = path("other.key") }, { cert = path("good.pem"), key = path("good.ext") } }) do
        local listener, message, code = neap.net.listen("127.0.0.1", 0, { tls = bad })
        assert.are.same({ nil, "certificate" }, { listener, code })
        assert.is_truthy(message:find("^cannot use the %w+ " .. folder), message)
      end
      assert.are.equal("certificate", (select(3, neap.net.connect("localhost", 1, { tls = { ca = path("none") } }))))
    end)
  end)

  describe("talks to", function()
    it("openssl's server", function()
      local program, port = start_openssl_server({ "-cert", path("good.pem"), "-key", path("good.key"), "-rev" })
      local stream <close> = assert(neap.net.connect("localhost", port, { tls = trusting() }))
      stream:write("hello\n")
      assert.are.equal("olleh", (stream:read("line")))
      stream:close()
      program:kill(9)
      program:wait()
    end)

    it("openssl's client, of either version", function()
      local listener <close> = listen("good")
      local _, port = listener:address()
      for _, version in ipairs({ "-tls1_2", "-tls1_3" }) do
        local server = neap.spawn(function()
          local stream <close> = listener:accept()
          stream:write(stream:read("line"):upper() .. "\n")
        end)
        local result = assert(neap.run({ "openssl", "s_client", "-connect", "127.0.0.1:" .. port, "-CAfile",
          path("ca.pem"), "-verify_return_error", "-verify_hostname", "localhost", "-quiet", version,
          stdin = "hello\n" }))
        server:join()
        assert.are.equal("HELLO\n", result.stdout)
      end
    end)

    it("nobody who knows only what is broken", function()
      local listener <close> = listen("good")
      local _, port = listener:address()
      local server = neap.spawn(function()
        local stream <close> = listener:accept()
        return stream:read()
      end)
      local result = assert(neap.run({ "openssl", "s_client", "-connect", "127.0.0.1:" .. port, "-tls1_1", "-cipher",
        "ALL:@SECLEVEL=0" }))
      assert.are_not.equal(0, result.code)
      assert.are.equal("tls", (select(3, server:join())))
    end)

    it("curl, over HTTP", function()
      local server <close> = assert(neap.http.serve({ tls = identity("good"), handler = function(request)
        return request.body .. "!"
      end }))
      local _, port = server:address()
      local result = assert(neap.run({ "curl", "-sS", "--cacert", path("ca.pem"), "--data", "hello",
        ("https://%s:%d/"):format("localhost", port) }))
      assert.are.same({ code = 0, stdout = "hello!", stderr = "" }, result)
      local plain = assert(neap.run({ "curl", "-s", ("http://%s:%d/"):format("localhost", port) }))
      assert.are_not.equal(0, plain.code)
    end)
  end)

  it("is taken up in the middle of a conversation", function()
    local listener <close> = assert(neap.net.listen("127.0.0.1", 0))
    local server = neap.spawn(function()
      local stream <close> = listener:accept()
      assert(stream:read("line") == "STARTTLS")
      stream:write("go on\n")
      assert(neap.net.starttls(stream, identity("good", { server = true })))
      return (stream:read("line"))
    end)
    local stream <close> = assert(neap.net.connect(listener:address()))
    assert.is_nil(stream:security())
    stream:write("STARTTLS\n")
    assert.are.equal("go on", (stream:read("line")))
    assert.are.equal(stream, (neap.net.starttls(stream, trusting({ server_name = "localhost" }))))
    stream:write("a secret\n")
    assert.are.equal("a secret", server:join())
    assert.has_error(function() neap.net.starttls(stream, trusting()) end)
  end)

  it("is not taken up over bytes that came too early", function()
    local listener <close> = assert(neap.net.listen("127.0.0.1", 0))
    local stream <close> = assert(neap.net.connect(listener:address()))
    local other <close> = listener:accept()
    other:write("go on\nand this is smuggled in\n")
    assert.are.equal("go on", (stream:read("line")))
    assert.are.equal("EPROTO", (select(3, neap.net.starttls(stream, { verify = false }))))
    assert.is_true(stream:is_closed())
  end)

  it("goes to the threads that a listener is sent to", function()
    local listener <close> = listen("good")
    local thread = neap.thread(function(shared)
      local stream <close> = shared:accept()
      stream:write(stream:read("line"):upper() .. "\n")
    end, listener)
    local stream <close> = assert(connect(listener))
    stream:write("hello\n")
    assert.are.equal("HELLO", (stream:read("line")))
    thread:join()
  end)

  it("is loaded when it is first used, and not before", function()
    local result = support.run_script([[
      local function is_loaded() return neap.fs.read("/proc/self/maps"):find("libssl", 1, true) ~= nil end
      neap.net.listen("127.0.0.1", 0)
      print(is_loaded())
      neap.net.connect("127.0.0.1", 1, { tls = true })
      print(is_loaded())]])
    assert.are.same({ status = 0, stdout = "false\ntrue\n", stderr = "" }, result)
  end)

  it("is loaded later when there was no descriptor left to load it with", function()
    local result = support.run_with_few_descriptors([[
      local port = select(2, neap.net.listen("127.0.0.1", 0):address())
      local files = {}
      repeat
        local file = io.open("/dev/null")
        files[#files + 1] = file
      until not file
      print(neap.net.connect("127.0.0.1", port, { tls = true }))
      for _, open in ipairs(files) do open:close() end
      print(neap.net.connect("127.0.0.1", port, { tls = true, timeout = 0.05 }))
    ]])
    local lines = "nil\tcannot load libssl.so.3: too many open files\tEMFILE\nnil\ttimeout\ttimeout\n"
    assert.are.equal(lines, result.stdout .. result.stderr)
  end)

  it("works from a plain lua5.4", function()
    local result = support.run_plain([[
      local listener = assert(neap.net.listen("127.0.0.1", 0, { tls = { cert = ..., key = select(2, ...) } }))
      local server = neap.spawn(function() return assert(listener:accept():read("line")) end)
      local host, port = listener:address()
      local stream = assert(neap.net.connect(host, port, { tls = { ca = select(3, ...) } }))
      stream:write("hello\n")
      print(server:join())]], { path("good.pem"), path("good.key"), path("ca.pem") })
    assert.are.same({ status = 0, stdout = "hello\n", stderr = "" }, result)
  end)

  it("refuses options that make no sense", function()
    for _, bad in ipairs({ false, 1, {}, { cert = 1 }, { cert = "x", nonsense = true }, { cert = "x", alpn = {} },
      { cert = "x\0y" } }) do
      assert.has_error(function() neap.net.listen("127.0.0.1", 0, { tls = bad }) end)
    end
    for _, bad in ipairs({ 1, { alpn = "h2" }, { verify = "no" }, { server_name = "localhost\0.elsewhere" } }) do
      assert.has_error(function() neap.net.connect("localhost", 1, { tls = bad }) end)
    end
  end)
end)
