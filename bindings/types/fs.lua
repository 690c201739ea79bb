---@meta neap

---@class neap
---@field fs neap.Fs
local neap = {}

---Files and folders. Each call is made in a pool of threads, so only the task that makes it waits. One that is cancelled, or
---whose `neap.timeout` is over, is made all the same, and nobody is told how it ended.
---
---What cannot be done is `nil`, a message that names the path, and the system's code ("ENOENT", "EACCES").
---
---```lua
---local folder = os.tmpname() .. ".d"
---local file = folder .. "/file"
---assert(neap.fs.mkdir(folder, { parents = true }))
---assert(neap.fs.write(file, "some bytes\n"))
---for path, kind in neap.fs.walk(folder) do assert(path == file and kind == "file") end
---assert(neap.fs.read(file) == "some bytes\n")
---assert(neap.fs.remove(folder, { recursive = true }))
---```
---@class neap.Fs
local Fs = {}

---What `neap.fs.stat` tells. Times are seconds since 1970.
---@class neap.FileInfo
---@field type "file"|"folder"|"link"|"pipe"|"socket"|"device"
---@field size integer bytes
---@field mode integer permission bits
---@field uid integer
---@field gid integer
---@field inode integer
---@field device integer
---@field links integer
---@field modified number
---@field accessed number
---@field changed number

---An open file. Its operations take turns, whatever task asks for them. It belongs to the thread that opened it. Leaving the
---`<close>` variable that holds it closes it, and so does its collection.
---@class neap.File
local File = {}

---What has happened to a file, as `neap.Watch:next` tells it.
---@class neap.FileEvent
---@field kind "created"|"changed"|"removed"|"overflow" created: it is there now, made or renamed, perhaps in place of another; changed: its bytes, mode or times; removed: it has this name no more; overflow: more has happened than the system keeps, events are missing here, and whoever needs to know looks at the files again
---@field name string? in the folder; empty: the folder itself. Not of an overflow
---@field path string? the watched path, and below it the name
---@field renaming integer? a number that is the same in the "removed" and the "created" of a renaming within the folder

---Tells what happens to a file or in a folder. It belongs to the thread that made it; each event goes to one of its tasks. Leaving the
---`<close>` variable that holds it closes it, and so does its collection.
---@class neap.Watch
local Watch = {}

---All of a file.
---@param path string
---@return string?
---@return string? message
---@return string? code
---@since 0.1
function Fs.read(path) end

---Makes a file what is given, whole or not at all: until it is all there, `path` is as it was. The mode of a file that is there
---stays, and its owner and group where the system allows that; one that may not be written is not replaced. A symbolic link is followed; what is no file (a device, a named
---pipe) is written to as it is.
---@param path string
---@param bytes string
---@param options? { mode?: integer } permission bits of a new file; by default all may read and write whom the umask lets
---@return true?
---@return string? message
---@return string? code "ENOSPC", "EACCES" and the like
---@since 0.1
function Fs.write(path, bytes, options) end

---Adds to the end of a file, or makes it.
---@param path string
---@param bytes string
---@param options? { mode?: integer } as in `write`
---@return true?
---@return string? message
---@return string? code
---@since 0.1
function Fs.append(path, bytes, options) end

---Opens a file. A named pipe (FIFO) takes one of the pool's threads, of which there are four, for as long as its other side is waited for:
---for pipes there is `io.open` after `neap.patch_all`, which takes none.
---@param path string
---@param mode? "r"|"w"|"a"|"r+"|"w+"|"a+" as in `io.open`; "r" by default
---@param options? { mode?: integer } as in `write`
---@return neap.File?
---@return string? message
---@return string? code
---@since 0.1
function Fs.open(path, mode, options) end

---Tells what a path leads to.
---@param path string
---@param options? { follow?: boolean } false: of a link, the link itself
---@return neap.FileInfo?
---@return string? message
---@return string? code
---@since 0.1
function Fs.stat(path, options) end

---The names in a folder, in order.
---@param path string
---@return string[]?
---@return string? message
---@return string? code
---@since 0.1
function Fs.list(path) end

---Iterates over the path and type of all that is in a folder and in those within it, in order, each folder before what is in it.
---Links are told of and not followed; a folder that cannot be listed seems empty. Each step may wait.
---@param path string
---@return (fun(): string?, "file"|"folder"|"link"|"other")?
---@return string? message
---@return string? code
---@since 0.1
function Fs.walk(path) end

---Makes a folder.
---@param path string
---@param options? { parents?: boolean, mode?: integer } parents: make those that are missing, too, and let it be there already
---@return true?
---@return string? message
---@return string? code
---@since 0.1
function Fs.mkdir(path, options) end

---Removes a file or an empty folder.
---@param path string
---@param options? { recursive?: boolean } a folder with all that is in it; links are removed, not followed
---@return true?
---@return string? message
---@return string? code "ENOTEMPTY" and the like; "EINVAL": the path ends in "." or ".."
---@since 0.1
function Fs.remove(path, options) end

---Renames; what has the new name already is replaced.
---@param from string
---@param to string
---@return true?
---@return string? message
---@return string? code "EXDEV": they are on different disks
---@since 0.1
function Fs.rename(from, to) end

---Copies the bytes and mode of a file, but not that it runs as its owner or group; what has the new name is replaced, whole or not
---at all, as by `write`.
---@param from string
---@param to string
---@return true?
---@return string? message
---@return string? code
---@since 0.1
function Fs.copy(from, to) end

---The path of what `path` leads to, from the root, without links.
---@param path string
---@return string?
---@return string? message
---@return string? code
---@since 0.1
function Fs.resolve(path) end

---Watches a file, or all that is directly in a folder, from now on. A link is followed to where it leads now. A file is watched by its name: when
---another takes its place, as `write` and editors do, that is "created". Folders within the folder are told of, but not what is in them.
---
---Events wait in the system, some thousands of them, while nobody takes them; changes of a file that follow each other are told once. If there
---were too many, the next event is an "overflow". When the folder itself is removed or moved, or that of the file, the watch ends.
---
---```lua
---local folder = os.tmpname() .. ".d"
---assert(neap.fs.mkdir(folder))
---local watch <close> = assert(neap.fs.watch(folder))
---neap.fs.append(folder .. "/log", "a line\n")
---local event = watch:next(60)
---assert(event.kind == "created" and event.name == "log" and event.path == folder .. "/log")
---neap.fs.remove(folder, { recursive = true })
---local seen = {}
---for later in watch:iter() do seen[#seen + 1] = later.kind .. " " .. later.name end
---assert(table.concat(seen, ", ") == "changed log, removed log, removed ")
---```
---@param path string
---@return neap.Watch?
---@return string? message
---@return string? code "ENOENT", "EACCES"; "EMFILE" and "ENOSPC": the system allows no more (`fs.inotify.max_user_instances` and `max_user_watches`)
---@since 0.1
function Fs.watch(path) end

---Takes the next event. Waits until there is one; being cancelled loses none. So does `neap.select`, whose result it is.
---@param timeout? number
---@return neap.FileEvent?
---@return string? message
---@return string? code "timeout", "closed"
---@since 0.1
function Watch:next(timeout) end

---Iterates over the events, until the watch is closed or has ended.
---@return fun(): neap.FileEvent?
---@since 0.1
function Watch:iter() end

---Closes it: who waits is answered "closed". True the first time.
---@return boolean
---@since 0.1
function Watch:close() end

---Was it closed, or has it ended?
---@return boolean
---@since 0.1
function Watch:is_closed() end

---Reads from where the file stands. As `neap.Stream:read`; at the end it is "closed". What is cancelled or times out takes nothing.
---@param what? "some"|"line"|"all"|integer
---@param timeout? number
---@return string?
---@return string? message
---@return string? code
---@since 0.1
function File:read(what, timeout) end

---Iterates over lines. An error of the system raises.
---@param timeout? number for each line
---@return fun(): string?
---@since 0.1
function File:lines(timeout) end

---Writes where the file stands, or at its end if it was opened to append. What is cancelled or times out is written all the same,
---unless another operation still had its turn.
---@param bytes string
---@param timeout? number
---@return true?
---@return string? message
---@return string? code
---@since 0.1
function File:write(bytes, timeout) end

---Waits until what was written is on the disk.
---@return true?
---@return string? message
---@return string? code
---@since 0.1
function File:sync() end

---Moves, as in Lua's own files, and tells where it stands. Raises while another task reads or writes.
---@param whence? "set"|"cur"|"end"
---@param offset? integer
---@return integer?
---@return string? message
---@return string? code
---@since 0.1
function File:seek(whence, offset) end

---Closes it. Raises while another task reads or writes; what was cancelled and still goes on does not keep it from being closed,
---and ends well. Closing it again does nothing.
---@return true?
---@return string? message
---@return string? code what the system could not write
---@since 0.1
function File:close() end

---Was it closed?
---@return boolean
---@since 0.1
function File:is_closed() end

return neap
