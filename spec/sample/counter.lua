-- A module for specs: it counts how often it was loaded in this state, and has data, functions and a C function.

LOADED = (LOADED or 0) + 1 -- luacheck: ignore 111 113

return { data = { 1, 2, 3 }, repeat_text = string.rep, answer = function() return 42 end }
