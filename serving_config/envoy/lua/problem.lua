-- SPDX-License-Identifier: GPL-3.0-or-later
-- Problem documents (RFC 9457, application/problem+json): from a gRPC status with its google.rpc details, or from
-- what Envoy itself refuses. The reasons are those of orrery/inference/v1/error_reason.proto.

local problem = {}

local DOMAIN = "inference.orrery"
problem.CONTENT_TYPE = "application/problem+json"

-- What Envoy refuses without asking the front: by HTTP status, the gRPC code and reason that stand for it.
local REFUSALS = {
  [400] = {"INVALID_ARGUMENT", "INVALID_FIELD", "the request is not valid"},
  [401] = {"UNAUTHENTICATED", "UNAUTHENTICATED", "a token that is accepted here is required"},
  [403] = {"PERMISSION_DENIED", "PERMISSION_DENIED", "the caller may not do this"},
  [404] = {"UNIMPLEMENTED", "NO_SUCH_METHOD", "there is nothing at this path; /api/openapi.json lists what there is"},
  [405] = {"UNIMPLEMENTED", "NO_SUCH_METHOD", "this path does not take this HTTP method"},
  [408] = {"DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", "the request did not arrive in time"},
  [413] = {"RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE", "the request is larger than this gateway takes"},
  [415] = {"INVALID_ARGUMENT", "UNSUPPORTED_MEDIA_TYPE", "requests are JSON: content-type application/json"},
  [429] = {"RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "too many requests from this address"},
  [431] = {"RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE", "the request's headers are too large"},
  [499] = {"CANCELLED", "CANCELLED", "the call was cancelled"},
  [500] = {"INTERNAL", "INTERNAL", "internal error"},
  [501] = {"UNIMPLEMENTED", "NO_SUCH_METHOD", "the gateway does not have this method"},
  [502] = {"UNAVAILABLE", "BACKEND_UNAVAILABLE", "the gateway's front is unavailable; try again"},
  [503] = {"UNAVAILABLE", "BACKEND_UNAVAILABLE", "the gateway's front is unavailable; try again"},
  [504] = {"DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", "the deadline passed before the answer was ready"},
}

-- google.rpc.Code
local CODES = {
  [0] = "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
  "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}
-- Their HTTP statuses, those that Envoy's transcoder gives to a call that is no stream.
local HTTP_STATUSES = {[0] = 200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401}

-- The HTTP status of a gRPC status.
function problem.http_status(code)
  return HTTP_STATUSES[code] or 500
end

local ESCAPES = {['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t"}

-- A JSON string. Bytes that are no UTF-8 become "?": they can only come from a request.
local function quoted(text)
  local escaped = text:gsub('[%c"\\\127]', function(c) return ESCAPES[c] or ("\\u%04x"):format(c:byte()) end)
  if escaped:find("[\128-\255]") then
    local whole = {}
    local at = 1
    while at <= #escaped do
      local character = escaped:match("^[%z\1-\127]+", at)
        or escaped:match("^[\194-\223][\128-\191]", at)
        or escaped:match("^\224[\160-\191][\128-\191]", at)
        or escaped:match("^[\225-\236\238\239][\128-\191][\128-\191]", at)
        or escaped:match("^\237[\128-\159][\128-\191]", at)
        or escaped:match("^\240[\144-\191][\128-\191][\128-\191]", at)
        or escaped:match("^[\241-\243][\128-\191][\128-\191][\128-\191]", at)
        or escaped:match("^\244[\128-\143][\128-\191][\128-\191]", at)
      whole[#whole + 1] = character or "?"
      at = at + (character and #character or 1)
    end
    escaped = table.concat(whole)
  end
  return '"' .. escaped .. '"'
end

-- "Invalid field" for INVALID_FIELD.
local function title_of(reason)
  local words = reason:lower():gsub("_", " ")
  return words:sub(1, 1):upper() .. words:sub(2)
end

-- A document as JSON text.
--   status: of HTTP; told: {code, reason, detail, metadata = {name = text}, violations = {{field, description}, ...}}
function problem.document(status, told, request_id)
  local reason = told.reason or "INTERNAL"
  local parts = {
    '"type":' .. quoted("tag:" .. DOMAIN .. ",2026:" .. reason),
    '"title":' .. quoted(title_of(reason)),
    '"status":' .. status,
    '"detail":' .. quoted(told.detail),
    '"code":' .. quoted(told.code),
    '"reason":' .. quoted(reason),
    '"domain":' .. quoted(DOMAIN),
  }
  if request_id then
    parts[#parts + 1] = '"request_id":' .. quoted(request_id)
  end
  if told.violations and #told.violations > 0 then
    local named = {}
    for i, violation in ipairs(told.violations) do
      named[i] = '{"field":' .. quoted(violation[1]) .. ',"description":' .. quoted(violation[2]) .. "}"
    end
    parts[#parts + 1] = '"errors":[' .. table.concat(named, ",") .. "]"
  end
  if told.metadata and next(told.metadata) then
    local names, pairs_of = {}, {}
    for name in pairs(told.metadata) do names[#names + 1] = name end
    table.sort(names)
    for i, name in ipairs(names) do pairs_of[i] = quoted(name) .. ":" .. quoted(told.metadata[name]) end
    parts[#parts + 1] = '"metadata":{' .. table.concat(pairs_of, ",") .. "}"
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- A refusal of violated fields, in the words of the front's own (gateway/serving/errors.py).
function problem.invalid(violations)
  local first = violations[1]
  local more = #violations > 1 and (" (and %d more fields)"):format(#violations - 1) or ""
  local detail = first[1] .. ": " .. first[2] .. more
  return {code = "INVALID_ARGUMENT", reason = "INVALID_FIELD", detail = detail, violations = violations}
end

-- The refusal of a browser's page, by its origin.
function problem.origin(origin)
  local detail = "pages of the origin %s may not call this gateway; the setting ORRERY_EDGE_CORS_ORIGINS lists those that may"
  return {
    code = "PERMISSION_DENIED",
    reason = "ORIGIN_NOT_ALLOWED",
    detail = detail:format(origin),
    metadata = {origin = origin},
  }
end

-- A refusal of Envoy's own. The transcoder says "objects[0].elements.eccentricity: invalid value ...".
function problem.refusal(status, words)
  local known = REFUSALS[status] or REFUSALS[status < 500 and 400 or 500]
  local told = {code = known[1], reason = known[2], detail = known[3]}
  if status == 400 and words and words ~= "" then
    local field, description = words:match("^([%w_%.%[%]%-]+): (.+)$")
    told = problem.invalid({{field or "request", description or words}})
  end
  return told
end

-- Bytes of base64 text, padded or not.
local VALUES = {}
for value, character in ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):gmatch("()(.)") do
  VALUES[character:byte()] = value - 1
end

local function from_base64(text)
  local bytes, bits, held = {}, 0, 0
  for i = 1, #text do
    local value = VALUES[text:byte(i)]
    if value then
      held, bits = held * 64 + value, bits + 6
      if bits >= 8 then
        bits = bits - 8
        local whole = math.floor(held / 2 ^ bits)
        bytes[#bytes + 1] = string.char(whole)
        held = held - whole * 2 ^ bits
      end
    end
  end
  return table.concat(bytes)
end

-- Iterates over a protobuf message: field number and value (a number for varints, text for what has a length).
local function fields(message)
  local at = 1
  local function varint()
    local value, scale = 0, 1
    repeat
      local byte = message:byte(at)
      if not byte then return nil end
      at = at + 1
      value, scale = value + (byte % 128) * scale, scale * 128
    until byte < 128
    return value
  end
  return function()
    if at > #message then return nil end
    local key = varint()
    local kind = key and key % 8
    if kind == 0 then return math.floor(key / 8), varint() end
    if kind ~= 2 then return nil end
    local length = varint() or 0
    at = at + length
    return math.floor(key / 8), message:sub(at - length, at - 1)
  end
end

local function seconds_of(duration)
  local parts = {0, 0}
  for number, value in fields(duration) do parts[number] = value end
  return parts[1] + parts[2] * 1e-9
end

-- By the name of a google.rpc detail, what it adds to a problem.
local DETAILS = {
  ErrorInfo = function(told, message)
    for number, value in fields(message) do
      if number == 1 then
        told.reason = value
      elseif number == 3 then
        local entry = {}
        for part, text in fields(value) do entry[part] = text end
        told.metadata[entry[1] or ""] = entry[2] or ""
      end
    end
  end,
  BadRequest = function(told, message)
    for number, value in fields(message) do
      if number == 1 then
        local violation = {"", ""}
        for part, text in fields(value) do
          if part <= 2 then violation[part] = text end
        end
        told.violations[#told.violations + 1] = violation
      end
    end
  end,
  RetryInfo = function(told, message)
    for number, value in fields(message) do
      if number == 1 then told.retry_after_s = seconds_of(value) end
    end
  end,
}

-- The form of `grpc-message` (gRPC over HTTP/2, "Percent-Encoded").
local function percent_decoded(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- What a gRPC status says.
--   code: number; details: the header grpc-status-details-bin, or nil; words: the header grpc-message, or nil.
function problem.of_status(code, details, words)
  local name = CODES[code] or "UNKNOWN"
  local told = {code = name, reason = nil, detail = percent_decoded(words or ""), metadata = {}, violations = {}}
  for number, value in fields(from_base64(details or "")) do
    if number == 2 then
      told.detail = value
    elseif number == 3 then
      local any = {}
      for part, text in fields(value) do any[part] = text end
      local read = DETAILS[(any[1] or ""):match("google%.rpc%.(%w+)$")]
      if read then read(told, any[2] or "") end
    end
  end
  if not told.reason then
    -- A status from below the servers' own code has no details: its words may name a field.
    local plain = problem.refusal(problem.http_status(code), told.detail)
    told.reason, told.violations = plain.reason, plain.violations
    if told.detail == "" then told.detail = plain.detail end
  end
  return told
end
