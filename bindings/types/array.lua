---@meta neap

---@class neap
local neap = {}

---Numbers or booleans of one type, side by side in memory that tasks, threads and processes share; as many as at first.
---
---`array[i]`, `array[i] = x`, `#array`, `pairs` and `ipairs` work as with a list, and so do `table.unpack`, `table.concat`,
---`table.sort` and `table.move`. An index that is not 1 to `#array` raises, for reading too.
---
---Each operation on an element is atomic, as those of a value; one on many elements (`slice`, `fill`, an iteration)
---is one operation for each.
---@class neap.Array
---@operator len: integer
---@field [integer] number|boolean
local Array = {}

---Makes a shared array.
---
---```lua
---local squares = neap.array("i64", 100)
---local function fill(first, last)
---  for i = first, last do squares[i] = i * i end
---end
---neap.gather { neap.thread(fill, 1, 50), neap.thread(fill, 51, 100) }
---assert(squares[7] == 49 and squares[100] == 10000)
---```
---
---Errors: the type is unknown; an element is not of the type, or the list has other keys than those of elements; no memory or no descriptor is left.
---@param type neap.Type
---@param contents integer|(number|boolean)[] how many zeros; or the elements
---@return neap.Array
---@since 0.1
function neap.array(type, contents) end

---Adds to an element.
---
---Errors: as those of Value:add; the index is out of bounds.
---@param index integer
---@param step number
---@return number sum
---@since 0.1
function Array:add(index, step) end

---Sets an element to `new` if it is `old`; as Value:cas.
---
---Errors: either is not of its type; the index is out of bounds.
---@param index integer
---@param old number|boolean
---@param new number|boolean
---@return boolean swapped
---@since 0.1
function Array:cas(index, old, new) end

---Sets an element to what `fn` makes of it; as Value:update.
---
---Errors: what `fn` raises; it returns something that is not of the type; the index is out of bounds.
---@param index integer
---@param fn fun(old: number|boolean): number|boolean
---@return number|boolean new
---@since 0.1
function Array:update(index, fn) end

---A copy of some elements as a plain list; an empty one if `first` is greater than `last`.
---
---```lua
---assert(table.concat(neap.array("u8", { 1, 2, 3 }):slice(2), " ") == "2 3")
---```
---
---Errors: either end is out of bounds.
---@param first? integer by default 1
---@param last? integer by default the length
---@return (number|boolean)[]
---@since 0.1
function Array:slice(first, last) end

---Sets all elements, or some.
---
---Errors: `value` is not of the type; either end is out of bounds.
---@param value number|boolean
---@param first? integer by default 1
---@param last? integer by default the length
---@since 0.1
function Array:fill(value, first, last) end

return neap
