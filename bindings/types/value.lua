---@meta neap

---@class neap
local neap = {}

---What a shared value or an element of a shared array can be. Integers of 8 to 64 bits with a sign (`i`) or without
---(`u`), floats of 32 and 64 bits, booleans. `u64` holds what a Lua integer can say: 0 to 2^63 - 1.
---@alias neap.Type "i8"|"i16"|"i32"|"i64"|"u8"|"u16"|"u32"|"u64"|"f32"|"f64"|"bool"

---A number or a boolean in memory that tasks, threads and processes share.
---
---Each operation is atomic, in an order that everybody agrees on, and none waits. What is beyond the type raises, and
---changes nothing: a value never wraps around. `f32` rounds. For something that takes several operations there is
---`update`, or a lock.
---
---Handles are equal if they stand for the same value. It lives as long as somebody has a handle, even if the process that made it has been
---killed.
---@class neap.Value
local Value = {}

---Makes a shared value.
---
---```lua
---local hits = neap.value("u32")
---local function count()
---  for _ = 1, 1000 do hits:add(1) end
---end
---neap.gather { neap.thread(count), neap.thread(count) }
---assert(hits:get() == 2000)
---```
---
---Errors: the type is unknown; `value` is not of that type; no memory or no descriptor is left.
---@param type neap.Type
---@param value? number|boolean what it is at first; by default 0 or false
---@return neap.Value
---@since 0.1
function neap.value(type, value) end

---What it is now.
---@return number|boolean value
---@since 0.1
function Value:get() end

---Sets it.
---
---Errors: `value` is not of its type, or out of its range.
---@param value number|boolean
---@since 0.1
function Value:set(value) end

---Adds to it.
---
---Errors: the sum would be out of the range of its type (overflow): it is as it was. A boolean cannot be added to.
---@param step number may be negative, and need not be in the range of the type
---@return number sum what it is now
---@since 0.1
function Value:add(step) end

---Compares and swaps: sets it to `new` if it is `old`. `0.0` is `-0.0` here, and NaN is NaN.
---
---```lua
---local claimed = neap.value("bool")
---assert(claimed:cas(false, true)) -- whoever comes first
---assert(not claimed:cas(false, true))
---```
---
---Errors: either is not of its type, or out of its range.
---@param old number|boolean
---@param new number|boolean
---@return boolean swapped
---@since 0.1
function Value:cas(old, new) end

---Sets it to what `fn` makes of it, with nothing in between: if somebody has changed it while `fn` ran, `fn` is called again with what it
---is now. So `fn` should do nothing but compute. It may wait; then hold a lock, if others change the value all the time.
---
---```lua
---local highest = neap.value("f64")
---highest:update(function(old) return math.max(old, 0.5) end)
---```
---
---Errors: what `fn` raises; it returns something that is not of the type. The value is as it was. So it is after a cancellation.
---@param fn fun(old: number|boolean): number|boolean
---@return number|boolean new
---@since 0.1
function Value:update(fn) end

return neap
