---@meta neap

---@class neap
local neap = {}

---Bytes that tasks, threads and processes share without a copy, until they are sealed.
---
---`buffer[i]` and `buffer[i] = byte` give and set one, 0 to 255; `#buffer` is how many there are, for ever. A place outside raises. No
---operation waits; none but setting one byte is atomic: who writes what others read says when it is done, by a channel or an event.
---
---It lives as long as somebody has a handle of it, or of a slice, even if the process that made it has been killed.
---@class neap.Buffer
---@operator len: integer
---@field [integer] integer
local Buffer = {}

---Makes a buffer.
---
---```lua
---local picture = neap.buffer(6)
---local function paint(part, byte) part:fill(byte) end
---neap.gather {
---  neap.thread(paint, picture:slice(1, 3), 120),
---  neap.thread(paint, picture:slice(4, 6), 121),
---}
---assert(picture:string() == "xxxyyy")
---```
---
---Errors: no memory or no descriptor is left.
---@param contents integer|string how many zeros; or the bytes
---@return neap.Buffer
---@since 0.1
function neap.buffer(contents) end

---A copy of a part, as `string.sub` gives it.
---@param first? integer by default 1; negative ones count from the end
---@param last? integer by default -1
---@return string
---@since 0.1
function Buffer:sub(first, last) end

---A copy of all of it.
---@return string
---@since 0.1
function Buffer:string() end

---Copies bytes in.
---
---Errors: they do not all fit in at that place, and then none is written; it is sealed.
---@param position integer of the first one
---@param bytes string|neap.Buffer
---@return integer position behind the last one
---@since 0.1
function Buffer:write(position, bytes) end

---Sets many bytes to the same.
---
---Errors: either end is out of bounds; it is sealed.
---@param byte integer 0 to 255
---@param first? integer by default 1
---@param last? integer by default the length
---@since 0.1
function Buffer:fill(byte, first, last) end

---Writes values as `string.pack` does.
---
---```lua
---local record = neap.buffer(12)
---record:pack(record:pack(1, "<i4", 7), "<d", 0.5)
---assert(record:unpack(1, "<i4") == 7 and record:unpack(5, "<d") == 0.5)
---```
---
---Errors: as `string.pack`; it does not fit in; it is sealed.
---@param position integer
---@param format string
---@param ... any
---@return integer position behind it
---@since 0.1
function Buffer:pack(position, format, ...) end

---Reads values as `string.unpack` does.
---
---Errors: as `string.unpack`.
---@param position integer
---@param format string
---@return any ... the values, and the position behind them
---@since 0.1
function Buffer:unpack(position, format) end

---A part of it, as a buffer: the same bytes. Both are equal to what else stands for just these bytes.
---
---Errors: either end is out of bounds.
---@param first? integer by default 1
---@param last? integer by default the length
---@return neap.Buffer
---@since 0.1
function Buffer:slice(first, last) end

---From now on nobody can write to it, nor to anything that it is a slice of, in any process; so it can be read without
---agreeing on when. A write that another process has begun may still come to its end.
---@return neap.Buffer itself
---@since 0.1
function Buffer:seal() end

---Has it been sealed?
---@return boolean
---@since 0.1
function Buffer:is_sealed() end

return neap
