std = "lua54"
max_line_length = 120
-- `self` of a method that does not need it, and arguments that a callback is given and ignores.
self = false
unused_args = false

files["spec"].std = "lua54+busted"
-- Annotations declare functions without bodies.
files["bindings/types"].ignore = { "111", "112", "113", "131", "211", "212", "241", "631" }
