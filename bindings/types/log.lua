---@meta neap

---@class neap
---@field log neap.Log
local neap = {}

---A log for the whole program: lines with a time, a level, a text and fields, from any task, thread or child process.
---
---It needs no setup: lines of level "info" and above go to stderr. `neap.log.configure`, called once, sends them to a
---file, which is rotated, and says how they look:
---
---```
---2026-11-28T16:24:19.123+01:00 INFO  connected host=db.example port=5432
---{"time":"2026-11-28T16:24:19.123+01:00","level":"info","message":"connected","host":"db.example","port":5432}
---```
---
---A call makes the line and hands it to a thread of its own, which writes; so nobody waits for a disk. When the program ends,
---well, by an error, by `os.exit` or by Ctrl-C, all that was logged is written first; a second Ctrl-C or SIGKILL loses what is
---still on its way. If the file cannot be written (the disk is full), that is told once on stderr, the program goes on, and once the
---file can be written again a line says how many are missing.
---
---Lines of child processes go to the log of the program that has started the first of them, be it that it was in use by then (a
---call of `configure` or any line is enough); else to their stderr, whole. A child that is killed loses what it has not handed on.
---
---```lua
---local path = os.tmpname()
---neap.log.configure({ file = { path = path, size = 1000000, keep = 3 }, level = "debug" })
---neap.log.debug("starting", { workers = 4 })
---neap.spawn(function()
---  local _ <close> = neap.log.context({ request = 17 })
---  neap.log.warn("slow answer", { seconds = 1.5 }) -- ends in: request=17 seconds=1.5
---end):join()
---neap.log.flush()
---assert(neap.fs.read(path):find("WARN  slow answer request=17 seconds=1.5\n", 1, true))
---assert(neap.fs.remove(path))
---```
---@class neap.Log
local Log = {}

---@alias neap.Level "debug"|"info"|"warn"|"error"|"off"

---A file of a log.
---@class neap.LogFile
---@field path string
---@field format? "text"|"json" by default that of the log
---@field size? integer bytes after which it is rotated; by default never
---@field daily? boolean rotated at the first line of each day, by the local time
---@field keep? integer how many old files stay, 5 by default: `PATH.1` is the latest

---@class neap.LogOptions
---@field level? neap.Level what is below it is not logged; "info" by default
---@field format? "text"|"json" "text" by default
---@field stderr? boolean lines go to stderr; by default they do if there is no `file`
---@field file? string|neap.LogFile lines go there
---@field colour? boolean levels on stderr are coloured; by default where that is a terminal and `NO_COLOR` is not set
---@field capacity? integer how many lines may wait to be written; 1024 by default
---@field full? "block"|"drop" when that many wait: the one who logs waits (the default), or the line is dropped and counted

---Logs a line of level "debug". As all four of them: `text` is anything that `tostring` takes; `fields` are written behind
---it, in the order of their names; tables in them as JSON, what is neither a table nor a string, number or boolean as
---`tostring` says. Control characters are escaped: a line stays one line. A field called `time`, `level` or `message` gets an
---underscore at its end in JSON.
---
---Waits only while there is no room for the line; cancelling loses the line then. Errors: `fields` is no table.
---@param text any
---@param fields? table<string, any>
---@since 0.1
function Log.debug(text, fields) end

---Logs a line of level "info". See `debug`.
---@param text any
---@param fields? table<string, any>
---@since 0.1
function Log.info(text, fields) end

---Logs a line of level "warn". See `debug`.
---@param text any
---@param fields? table<string, any>
---@since 0.1
function Log.warn(text, fields) end

---Logs a line of level "error". See `debug`.
---@param text any
---@param fields? table<string, any>
---@since 0.1
function Log.error(text, fields) end

---Says where the lines go from now on, for all threads; in a child process for that child. To be called once, before threads and
---processes are started: they know of it from their first line on. Called again it takes the place of what there was, whose
---lines are written first, which it waits for.
---
---Errors: an option is unknown or not what it should be.
---@param options neap.LogOptions
---@return true?
---@return string? message the file cannot be written; nothing has changed then
---@return string? code "EACCES", "ENOENT" and the like
---@since 0.1
function Log.configure(options) end

---Adds fields to every line that the running task logs, and to those of the tasks, threads and processes that it starts from then
---on. They stay until the task ends, or until the value that is returned is closed.
---
---Without fields: a copy of those that there are.
---
---```lua
---do
---  local _ <close> = neap.log.context({ user = "ann" })
---  neap.spawn(function() assert(neap.log.context().user == "ann") end):join()
---end
---assert(neap.log.context().user == nil)
---```
---@param fields? table<string, any>
---@return table
---@since 0.1
function Log.context(fields) end

---The level: what is below it is not logged.
---@return neap.Level
---@since 0.1
function Log.level() end

---Sets it, for all threads, and for the processes whose lines come to this log.
---
---Errors: no such level.
---@param level neap.Level
---@since 0.1
function Log.set_level(level) end

---Are lines of this level logged? For when it takes time to find out what to log.
---@param level neap.Level
---@return boolean
---@since 0.1
function Log.is_enabled(level) end

---How many lines have been dropped so far, because there was no room for them.
---@return integer
---@since 0.1
function Log.dropped() end

---Waits until what this task has logged so far is written.
---@param timeout? number seconds
---@return true?
---@return string? message "timeout"
---@return string? code "timeout"
---@since 0.1
function Log.flush(timeout) end

return neap
