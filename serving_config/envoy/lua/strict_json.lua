-- SPDX-License-Identifier: GPL-3.0-or-later
-- JSON of a message, checked against the contract while it is read: syntax (RFC 8259), unknown fields, wrong types,
-- fields given twice and two members of a oneof. Envoy's transcoder lets the first through, names only the first of the
-- second, and is lenient about syntax. What is left to it and the front: the values themselves.
--
-- `contract.messages[name][field]`, generated from the descriptors, is
--   {name = "objects", kind = "message", of = "NearEarthObject", repeated = true, oneof = "orbit", values = {...}}
-- under both spellings that ProtoJSON allows (semi_major_axis_au, semiMajorAxisAu). It is stricter than ProtoJSON in
-- two things: numbers are no text (but for 64-bit integers, and NaN and the infinities, which the front refuses by
-- name), and enum values are names.

local strict = {}

local byte, sub = string.byte, string.sub
local QUOTE, BACKSLASH, COMMA, COLON, MINUS, DOT = 34, 92, 44, 58, 45, 46
local OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY = 123, 125, 91, 93
local DEEPEST = 64
-- How far inside a message a misplaced field is looked for.
local DEEPEST_HINT = 3

-- One document is read at a time: a worker of Envoy is one thread, and reading does not yield.
local contract, most, text, at, path, depth, violations, left_out
-- The messages that are being read, outermost first: {name, its depth}.
local reading = {}

local function fail(what)
  error({at = at, what = what}, 0)
end

local function skip_space()
  local b = byte(text, at)
  while b == 32 or b == 10 or b == 13 or b == 9 do
    at = at + 1
    b = byte(text, at)
  end
  return b
end

-- "objects[3].elements.eccentricity", or its beginning down to a depth; "request" for the whole.
local function here(last)
  last = last or depth
  local parts = {}
  for i = 1, last do
    local step = path[i]
    if type(step) == "number" then
      parts[#parts + 1] = "[" .. step .. "]"
    else
      parts[#parts + 1] = (i > 1 and "." or "") .. (#step > 64 and step:sub(1, 64) .. "..." or step)
    end
  end
  return last == 0 and "request" or table.concat(parts)
end

-- The nearest messages inside a message that have a field: "scenario", "objects[0].elements or objects[0].state".
local function places_inside(name, spelling, base)
  local level = {{name, base}}
  for _ = 1, DEEPEST_HINT do
    local found, below = {}, {}
    for _, holder in ipairs(level) do
      for written, field in pairs(contract.messages[holder[1]]) do
        local inner = field.kind == "message" and written == field.name and contract.messages[field.of]
        if inner then
          local place = holder[2] .. field.name .. (field.repeated and "[0]" or "")
          below[#below + 1] = {field.of, place .. "."}
          if inner[spelling] then found[#found + 1] = place end
        end
      end
    end
    if #found > 0 then
      table.sort(found)
      return table.concat(found, " or ")
    end
    level = below
  end
  return nil
end

-- Where a field that its message does not have belongs, in words; empty where no message near it has it.
local function hint(name, spelling)
  local base = depth > 1 and here(depth - 1) .. "." or ""
  local place = places_inside(name, spelling, base)
  for i = #reading - 1, 1, -1 do
    if place then break end
    local outer, outer_depth = reading[i][1], reading[i][2]
    if contract.messages[outer][spelling] then place = outer_depth == 0 and "the request itself" or here(outer_depth) end
  end
  return place and "; it belongs into " .. place or ""
end

local function complain(description)
  if #violations < most then
    violations[#violations + 1] = {here(), description}
  else
    left_out = left_out + 1
  end
end

local ESCAPED = {[34] = '"', [92] = "\\", [47] = "/", [98] = "\b", [102] = "\f", [110] = "\n", [114] = "\r", [116] = "\t"}

-- A string from its opening quote on. Characters beyond ASCII that are escaped become "?": no name has any.
local function read_string()
  local first = at + 1
  local i = first
  local b = byte(text, i)
  while b ~= QUOTE and b ~= BACKSLASH do
    if not b or b < 32 then at = i fail(b and "a control character in a string" or "the text ends in a string") end
    i = i + 1
    b = byte(text, i)
  end
  if b == QUOTE then
    at = i + 1
    return sub(text, first, i - 1)
  end
  local parts = {sub(text, first, i - 1)}
  while b ~= QUOTE do
    if b == BACKSLASH then
      local escape = byte(text, i + 1)
      if escape == 117 then
        local digits = text:match("^%x%x%x%x", i + 2)
        if not digits then at = i fail("a broken escape in a string") end
        local code = tonumber(digits, 16)
        parts[#parts + 1] = code < 128 and string.char(code) or "?"
        i = i + 6
      elseif ESCAPED[escape] then
        parts[#parts + 1] = ESCAPED[escape]
        i = i + 2
      else
        at = i
        fail("a broken escape in a string")
      end
    else
      if not b or b < 32 then at = i fail(b and "a control character in a string" or "the text ends in a string") end
      parts[#parts + 1] = string.char(b)
      i = i + 1
    end
    b = byte(text, i)
  end
  at = i + 1
  return table.concat(parts)
end

-- Past the digits from here on; at least one.
local function skip_digits()
  local b = byte(text, at)
  if not b or b < 48 or b > 57 then fail("a number without digits") end
  while b and b >= 48 and b <= 57 do
    at = at + 1
    b = byte(text, at)
  end
  return b
end

-- Past a number; whether it is written as a whole one.
local function skip_number()
  if byte(text, at) == MINUS then at = at + 1 end
  local b
  if byte(text, at) == 48 then
    at = at + 1
    b = byte(text, at)
    if b and b >= 48 and b <= 57 then fail("a number with a leading zero") end
  else
    b = skip_digits()
  end
  local whole = true
  if b == DOT then
    at = at + 1
    b = skip_digits()
    whole = false
  end
  if b == 101 or b == 69 then
    at = at + 1
    b = byte(text, at)
    if b == 43 or b == MINUS then at = at + 1 end
    skip_digits()
    whole = false
  end
  return whole
end

local WORDS = {[116] = {"true", "boolean"}, [102] = {"false", "boolean"}, [110] = {"null", "null"}}

local function skip_word(first)
  local word = WORDS[first]
  if not word or sub(text, at, at + #word[1] - 1) ~= word[1] then fail("not a JSON value") end
  at = at + #word[1]
  return word[2]
end

local function enter()
  depth = depth + 1
  if depth > DEEPEST then fail("nested too deeply") end
end

-- Calls `item` at each item of the array that opens here.
local function each_item(item)
  at = at + 1
  if skip_space() == CLOSE_ARRAY then
    at = at + 1
    return
  end
  enter()
  local index = 0
  while true do
    path[depth] = index
    item()
    local b = skip_space()
    at = at + 1
    if b == CLOSE_ARRAY then break end
    if b ~= COMMA then at = at - 1 fail("',' or ']' expected") end
    skip_space()
    index = index + 1
  end
  depth = depth - 1
end

-- Calls `member` at each value of the object that opens here, with its name.
local function each_member(member)
  at = at + 1
  if skip_space() == CLOSE_OBJECT then
    at = at + 1
    return
  end
  enter()
  while true do
    if skip_space() ~= QUOTE then fail("a field's name expected, in double quotes") end
    local name = read_string()
    path[depth] = name
    if skip_space() ~= COLON then fail("':' expected") end
    at = at + 1
    skip_space()
    member(name)
    local b = skip_space()
    at = at + 1
    if b == CLOSE_OBJECT then break end
    if b ~= COMMA then at = at - 1 fail("',' or '}' expected") end
  end
  depth = depth - 1
end

-- Past any value; what it is.
local function skip_value()
  local b = byte(text, at)
  if b == QUOTE then
    read_string()
    return "text"
  elseif b == OPEN_OBJECT then
    each_member(skip_value)
    return "an object"
  elseif b == OPEN_ARRAY then
    each_item(skip_value)
    return "an array"
  elseif b == MINUS or (b and b >= 48 and b <= 57) then
    skip_number()
    return "a number"
  end
  local kind = skip_word(b)
  return kind == "null" and "null" or "true or false"
end

local function expected(what)
  local found = skip_value()
  complain("must be " .. what .. ", not " .. found)
end

local NAMED_NUMBERS = {NaN = true, Infinity = true, ["-Infinity"] = true}

local LIMITS = {
  int32 = {-2147483648, 2147483647},
  uint32 = {0, 4294967295},
  int64 = {-9223372036854775808, 9223372036854775807},
  uint64 = {0, 18446744073709551615},
}

local function check_whole(number, kind)
  local low, high = LIMITS[kind][1], LIMITS[kind][2]
  if number % 1 ~= 0 then
    complain("must be a whole number")
  elseif number < low or number > high then
    complain("must be a whole number that " .. kind .. " holds")
  end
end

local read_message

-- By kind of field: reads one value of it.
local READ = {
  number = function()
    local b = byte(text, at)
    if b == QUOTE then
      local written = read_string()
      -- These the front refuses in its own words, as out of bounds.
      if not NAMED_NUMBERS[written] then complain("must be a number, not text") end
    elseif b == MINUS or (b and b >= 48 and b <= 57) then
      skip_number()
    else
      expected("a number")
    end
  end,
  whole = function(field)
    local b = byte(text, at)
    if b == QUOTE then
      local written = read_string()
      local number = field.of:find("64") and written:find("^%-?%d+$") and tonumber(written)
      if number then check_whole(number, field.of) else complain("must be a whole number, not text") end
    elseif b == MINUS or (b and b >= 48 and b <= 57) then
      local first = at
      skip_number()
      check_whole(tonumber(sub(text, first, at - 1)), field.of)
    else
      expected("a whole number")
    end
  end,
  boolean = function()
    local b = byte(text, at)
    if b == 116 or b == 102 then skip_word(b) else expected("true or false") end
  end,
  text = function()
    if byte(text, at) == QUOTE then read_string() else expected("text") end
  end,
  enum = function(field)
    local b = byte(text, at)
    if b == QUOTE then
      local name = read_string()
      if not field.values[name] then complain("is no " .. field.of .. ": " .. field.choices) end
    else
      expected("the name of a " .. field.of)
    end
  end,
  message = function(field)
    if byte(text, at) == OPEN_OBJECT then read_message(field.of) else expected("an object") end
  end,
  map = function(field)
    if byte(text, at) ~= OPEN_OBJECT then return expected("an object") end
    each_member(function() READ[field.value.kind](field.value) end)
  end,
  -- Messages with a JSON form of their own (google.protobuf.*): the transcoder knows them.
  any = skip_value,
}

local function read_field(field)
  if byte(text, at) == 110 then
    skip_word(110)
  elseif not field.repeated then
    READ[field.kind](field)
  elseif byte(text, at) ~= OPEN_ARRAY then
    expected("an array")
  else
    local read = READ[field.kind]
    each_item(function() read(field) end)
  end
end

function read_message(name)
  local fields = contract.messages[name]
  local given, chosen = {}, {}
  reading[#reading + 1] = {name, depth}
  each_member(function(spelling)
    local field = fields[spelling]
    if not field then
      complain("is no field of " .. name .. (#violations < most and hint(name, spelling) or ""))
      skip_value()
      return
    end
    path[depth] = field.name
    local absent = byte(text, at) == 110
    local rival = field.oneof and not absent and chosen[field.oneof]
    if given[field.name] then
      complain("is given twice")
    elseif rival then
      complain("excludes " .. rival .. ": give one of them")
    end
    given[field.name] = true
    if field.oneof and not absent then chosen[field.oneof] = field.name end
    read_field(field)
  end)
  reading[#reading] = nil
end

-- The violations of a body: {{path, description}, ...}, empty where there are none.
--   body: text; message: name of the message it must be; tables: the schema; limit: of violations that are named.
function strict.violations(body, message, tables, limit)
  contract, most, text, at, path, depth, violations, left_out = tables, limit, body, 1, {}, 0, {}, 0
  reading = {}
  local read, failure = pcall(function()
    local b = skip_space()
    if at == 1 and (b == 254 or b == 255) then fail("it is UTF-16, and JSON is UTF-8") end
    if b == OPEN_OBJECT then read_message(message) else expected("an object") end
    if skip_space() then fail("nothing expected after the object") end
  end)
  local found = violations
  if left_out > 0 then found[#found + 1] = {"request", left_out .. " more fields are wrong"} end
  text, violations = nil, nil
  if not read then
    -- A fault of this program has no position; Envoy logs it and lets the request on, to the transcoder's checks.
    if type(failure) ~= "table" then error(failure, 0) end
    return {{"request", ("is not JSON: %s (byte %d)"):format(failure.what, failure.at)}}
  end
  return found
end
