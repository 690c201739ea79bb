-- A module for specs: it registers a class that it does not return itself.

local neap = require "neap"

local Square = neap.register("spec.sample.Square", {})
Square.__index = Square

function Square:area() return self.side * self.side end

return { Square = Square }
