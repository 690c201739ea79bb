-- What the runs came to, as one aligned table or as JSON.

local report = {}

local decimal <const> = {
  { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" }, { 1, "" }, { 1e-3, "m" }, { 1e-6, "µ" }, { 1e-9, "n" },
}
local binary <const> = { { 1 << 20, "Mi" }, { 1 << 10, "Ki" }, { 1, "" } }

-- Three digits that mean something, and the scale that suits them: 0.000012345, "s" becomes "12.3 µs".
local function quantity(number, unit)
  local factor, prefix = 1, ""
  for _, scale in ipairs(unit == "B" and binary or decimal) do
    if math.abs(number) >= scale[1] then
      factor, prefix = scale[1], scale[2]
      break
    end
  end
  local scaled = number / factor
  local digits = scaled >= 100 and 0 or scaled >= 10 and 1 or 2
  local space = prefix == "" and unit:sub(1, 1) == "/" and "" or " "
  return ("%%.%df%%s%%s%%s"):format(digits):format(scaled, space, prefix, unit)
end

local function limit_text(limit, show)
  if limit.at_most then return "≤ " .. show(limit.at_most) end
  return "≥ " .. show(limit.at_least)
end

local function keeps(limit, number)
  if limit.at_most then return number <= limit.at_most end
  return number >= limit.at_least
end

local function target_text(row)
  local parts = {}
  if row.ratio then
    parts[#parts + 1] = limit_text(row.ratio, function(number) return ("%g×"):format(number) end)
  end
  if row.value then
    parts[#parts + 1] = limit_text(row.value, function(number) return quantity(number, row.unit) end)
  end
  return #parts > 0 and table.concat(parts, " and ") or "–"
end

--- Whether a result keeps its row's targets: true, false, or nil where there is none.
function report.reached(result)
  local row = result.row
  if not row.ratio and not row.value then return nil end
  return (not row.ratio or keeps(row.ratio, result.ratio)) and (not row.value or keeps(row.value, result.figure))
end

local function verdict(result)
  local reached = report.reached(result)
  if reached == nil then return "–" end
  return reached and "reached" or "missed"
end

local function cells(result)
  local row = result.row
  local yardstick = row.yardstick_title or "–"
  local mark = result.disturbed > 0 and " *" or ""
  if result.failure then return { row.title, "failed", yardstick, "", "", target_text(row), "failed" } end
  return {
    row.title,
    quantity(result.figure, row.unit),
    yardstick,
    result.yardstick and quantity(result.yardstick, row.unit) or "–",
    result.ratio and ("%.2f×"):format(result.ratio) or "–",
    target_text(row),
    verdict(result) .. mark,
  }
end

local function aligned(lines, right)
  local widths = {}
  for _, line in ipairs(lines) do
    for column, cell in ipairs(line) do widths[column] = math.max(widths[column] or 0, utf8.len(cell)) end
  end
  local text = {}
  for number, line in ipairs(lines) do
    local padded = {}
    for column, cell in ipairs(line) do
      local space = (" "):rep(widths[column] - utf8.len(cell))
      padded[column] = right[column] and space .. cell or cell .. space
    end
    text[number] = (table.concat(padded, "  "):gsub("%s+$", ""))
  end
  return text, widths
end

local function first_line(path)
  local file <close> = io.open(path)
  return file and file:read("l")
end

local function machine()
  local cores = 0
  local model = "an unknown processor"
  local file <close> = io.open("/proc/cpuinfo")
  if file then
    for line in file:lines() do
      if line:match("^processor") then cores = cores + 1 end
      model = line:match("^model name%s*:%s*(.+)") or model
    end
  end
  local load = first_line("/proc/loadavg")
  return ("%s, %d cores, load %s"):format(model, cores, load and load:match("^%S+") or "unknown")
end

--- The table, with the machine above it, and below it what could not be measured and how many targets were reached.
function report.text(results, runs)
  local lines = { { "figure", "neap", "yardstick", "measures", "ratio", "target", "" } }
  local reached, missed, disturbed = 0, 0, 0
  for _, result in ipairs(results) do
    lines[#lines + 1] = cells(result)
    disturbed = disturbed + result.disturbed
    if not result.failure then
      local kept = report.reached(result)
      if kept then reached = reached + 1 elseif kept == false then missed = missed + 1 end
    end
  end
  local text, widths = aligned(lines, { [2] = true, [4] = true, [5] = true })
  local width = 2 * (#widths - 1)
  for _, one in ipairs(widths) do width = width + one end
  table.insert(text, 2, ("─"):rep(width))
  table.insert(text, 1, ("%s; medians of %d runs"):format(machine(), runs))
  for _, result in ipairs(results) do
    if result.failure then text[#text + 1] = ("%s failed: %s"):format(result.row.name, result.failure) end
  end
  text[#text + 1] = ("%d targets reached, %d missed"):format(reached, missed)
  if disturbed > 0 then text[#text + 1] = ("* disturbed by other programs: %d measurements"):format(disturbed) end
  return table.concat(text, "\n") .. "\n"
end

local function json_value(value)
  if type(value) == "string" then
    return '"' .. value:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  elseif type(value) == "table" then
    local parts = {}
    for i, one in ipairs(value) do parts[i] = json_value(one) end
    return "[" .. table.concat(parts, ",") .. "]"
  elseif type(value) == "number" then
    return ("%.9g"):format(value)
  end
  return value == nil and "null" or tostring(value)
end

--- One JSON object a line, with every single measurement.
function report.json(results)
  local fields = {
    "name", "unit", "figure", "yardstick", "ratio", "reached", "failure", "disturbed",
    "figures", "yardsticks", "ratios",
  }
  local lines = {}
  for i, result in ipairs(results) do
    local all = setmetatable({ name = result.row.name, unit = result.row.unit }, { __index = result })
    if not result.failure then all.reached = report.reached(result) end
    local parts = {}
    for j, field in ipairs(fields) do parts[j] = ('"%s":%s'):format(field, json_value(all[field])) end
    lines[i] = "{" .. table.concat(parts, ",") .. "}\n"
  end
  return table.concat(lines)
end

return report
