-- SPDX-License-Identifier: GPL-3.0-or-later
-- The outer filter: paths, HTTP methods and media types of REST on the way in; problem documents and the media types of
-- streams on the way out. gRPC and gRPC-Web pass untouched.

local HERE = "orrery.edge"
local EVENTS, LINES = "text/event-stream", "application/x-ndjson"
-- google.rpc.Code
local OK, UNKNOWN = 0, 2
-- Of the header grpc-timeout.
local UNITS_MS = {H = 3600e3, M = 60e3, S = 1e3, m = 1, u = 1e-3, n = 1e-6}
local LONGEST_MS, BEYOND_DEADLINE_MS = 3700e3, 1000

local function answer(handle, status, told, headers)
  local all = {[":status"] = tostring(status), ["content-type"] = problem.CONTENT_TYPE}
  for name, value in pairs(headers or {}) do all[name] = value end
  handle:respond(all, problem.document(status, told, handle:headers():get("x-request-id")))
end

local function refuse(handle, status, headers, detail)
  local told = problem.refusal(status)
  told.detail = detail or told.detail
  answer(handle, status, told, headers)
end

local function allowed(methods)
  local names = {}
  for name in pairs(methods) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

-- A browser's question before a call (CORS), for a page of an origin that may not call: where it may, the filter before
-- this one has answered. That filter answers for routes to the front only.
local function refused_origin(handle, headers)
  if headers:get(":method") ~= "OPTIONS" or not headers:get("access-control-request-method") then return nil end
  return handle:streamInfo():routeName() == "front" and headers:get("origin") or nil
end

-- Ids go into logs and replies: the front keeps those of this form, and so does the edge.
local function mend_request_id(headers)
  local id = headers:get("x-request-id")
  if id and not (#id <= 64 and id:find("^[%w%._%-]+$")) then
    headers:replace("x-request-id", ("%08x%08x%08x"):format(math.random(0, 2 ^ 31), math.random(0, 2 ^ 31), os.time()))
  end
end

-- The request in the query of a GET, `?request=<JSON, percent-encoded>`; or nil, and what is wrong.
local function request_in(query)
  local request
  for name, value in query:gmatch("([^?&=]+)=?([^&]*)") do
    if name ~= "request" then return nil, {name, "is no parameter of this path; `request` is: the request as JSON"} end
    if request then return nil, {name, "is given twice"} end
    request = value:gsub("+", " "):gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
  end
  if request and request ~= "" then return request end
  return nil, {"request", "is required in the query: the request as JSON, percent-encoded"}
end

-- Makes the GET of a stream, the one thing that EventSource can send, the POST that it stands for, or refuses it.
local function make_post(handle, headers, path)
  local request, wrong = request_in((headers:get(":path") or ""):sub(#path + 1))
  if not request then return answer(handle, 400, problem.invalid({wrong})) end
  headers:replace(":method", "POST")
  headers:replace(":path", path)
  headers:replace("content-type", "application/json")
  handle:body(true):setBytes(request)
end

-- What grpc-timeout says, in milliseconds; nil where it is not there or not in gRPC's form.
local function timeout_ms(headers)
  local digits, unit = (headers:get("grpc-timeout") or ""):match("^(%d+)([HMSmun])$")
  return digits and #digits <= 8 and tonumber(digits) * UNITS_MS[unit] or nil
end

-- The front ends a call at its deadline. Envoy waits a little longer, so that a stream ends with the front's reason and is
-- not cut off; a front that hangs does not hold the caller.
local function outlast_deadline(headers)
  local deadline_ms = timeout_ms(headers)
  if not deadline_ms then return end
  local wait_ms = math.min(deadline_ms, LONGEST_MS) + BEYOND_DEADLINE_MS
  headers:replace("x-envoy-upstream-rq-timeout-ms", ("%d"):format(wait_ms))
end

local TIMEOUT_FORM = "must be 1 to 8 digits and a unit (H, M, S, m, u or n), as 5S or 500m (milliseconds)"

-- Whether grpc-timeout is in gRPC's form, or not there. What is not goes no further: a front on grpcio (1.85) would refuse
-- later timeouts of other callers as well, on the connection that they share.
local function has_good_timeout(headers)
  return not headers:get("grpc-timeout") or timeout_ms(headers) ~= nil
end

function envoy_on_request(handle)
  local headers = handle:headers()
  mend_request_id(headers)
  local media = (headers:get("content-type") or ""):lower()
  if media:find("^application/grpc") then
    if has_good_timeout(headers) then return end
    local status = {[":status"] = "200", ["content-type"] = media, ["grpc-status"] = "3",
      ["grpc-message"] = "grpc-timeout: " .. TIMEOUT_FORM}
    return handle:respond(status, "")
  end
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set(HERE, "rest", true)
  metadata:set(HERE, "id", headers:get("x-request-id") or "")
  local origin = refused_origin(handle, headers)
  if origin then return answer(handle, 403, problem.origin(origin)) end
  local path = without_query(headers:get(":path") or "/")
  if path:find("^/orrery%.") or path:find("^/grpc%.") then
    return refuse(handle, 415, nil, "this path speaks gRPC or gRPC-Web; REST is under /api/")
  end
  local methods = methods_at(path)
  if not methods then return end
  if not has_good_timeout(headers) then return answer(handle, 400, problem.invalid({{"grpc-timeout", TIMEOUT_FORM}})) end
  local verb = headers:get(":method")
  local method = methods[verb]
  if not method then
    return refuse(handle, 405, {allow = allowed(methods)})
  end
  if method.stream then
    local wants_events = (headers:get("accept") or ""):find(EVENTS, 1, true)
    metadata:set(HERE, "stream", wants_events and EVENTS or LINES)
    outlast_deadline(headers)
  end
  if method.in_query then return make_post(handle, headers, path) end
  if not method.message then return end
  if media ~= "" and not media:find("^application/json%s*;?") then
    return refuse(handle, 415)
  end
  local encoding = headers:get("content-encoding")
  if encoding and encoding ~= "identity" then
    return refuse(handle, 415, {["accept-encoding"] = "identity"}, "requests are not compressed here")
  end
  if (tonumber(headers:get("content-length") or "") or 0) > schema.max_body_bytes then
    return refuse(handle, 413, nil, ("a request has at most %d bytes here"):format(schema.max_body_bytes))
  end
end

local function retry_after(headers, told, status)
  local seconds = told.retry_after_s or tonumber(headers:get("x-ratelimit-reset") or "")
  if not seconds and (status == 429 or status == 503) then seconds = 1 end
  -- Whole seconds, RFC 9110 section 10.2.3.
  return seconds and tostring(math.max(1, math.ceil(seconds)))
end

local GRPC_HEADERS = {"grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-accept-encoding", "trailer"}

-- What a reply with an HTTP status of 400 or more says.
local function told_by(handle, status)
  local headers = handle:headers()
  local code = tonumber(headers:get("grpc-status") or "")
  if not code then
    local body = handle:body()
    return problem.refusal(status, body and body:getBytes(0, math.min(body:length(), 1000)))
  end
  return problem.of_status(code, headers:get("grpc-status-details-bin"), headers:get("grpc-message"))
end

-- The trailers in a last frame of gRPC-Web: the byte 128, four bytes of length, "name:value\r\n" for each. Nil for any
-- other piece of a stream: JSON and events do not begin with this byte.
local function trailers_in(piece)
  if piece:length() < 5 or piece:getBytes(0, 1) ~= "\128" then return nil end
  local trailers = {}
  local text = piece:getBytes(5, piece:length() - 5)
  for name, value in text:gmatch("([^\r\n:]+):([^\r\n]*)") do trailers[name] = value end
  return trailers
end

-- The last line of a stream, or its last event, from its trailers: how the call ended.
local function end_of_stream(trailers, seen)
  local code = tonumber(trailers["grpc-status"] or "") or UNKNOWN
  local document = '{"complete":true}'
  if code ~= OK then
    local told = problem.of_status(code, trailers["grpc-status-details-bin"], trailers["grpc-message"])
    document = problem.document(problem.http_status(code), told, seen.id ~= "" and seen.id or nil)
  end
  return seen.stream == EVENTS and "data: " .. document .. "\n\n" or document .. "\n"
end

-- Lets a stream through, and says at its end how the call ended. A stream that breaks has no trailers, and so no end.
local function follow(handle, seen)
  local ended
  for piece in handle:bodyChunks() do
    local trailers = trailers_in(piece)
    if trailers then
      ended = trailers["grpc-status"]
      piece:setBytes(end_of_stream(trailers, seen))
    end
  end
  -- The gRPC-Web filter has emptied them. The access log reads this one, and callers may.
  local trailers = ended and handle:trailers()
  if trailers then trailers:add("grpc-status", ended) end
end

function envoy_on_response(handle)
  local seen = handle:streamInfo():dynamicMetadata():get(HERE)
  if not seen or not seen.rest then return end
  local headers = handle:headers()
  local status = tonumber(headers:get(":status"))
  if (headers:get("content-type") or ""):find(problem.CONTENT_TYPE, 1, true) then return end
  if status >= 400 then
    local told = told_by(handle, status)
    -- Reading a body ends the life of what was taken from the handle before.
    headers = handle:headers()
    local wait = retry_after(headers, told, status)
    if wait then headers:replace("retry-after", wait) end
    if status == 401 then headers:replace("www-authenticate", "Bearer") end
    headers:replace("content-type", problem.CONTENT_TYPE)
    local document = problem.document(status, told, seen.id ~= "" and seen.id or nil)
    headers:replace("content-length", tostring(handle:body(true):setBytes(document)))
    headers = handle:headers()
  elseif seen.stream then
    headers:replace("content-type", seen.stream)
    local code = headers:get("grpc-status")
    if code then
      -- A stream without a message has its trailers here.
      handle:body(true):setBytes(end_of_stream({["grpc-status"] = code}, seen))
      headers = handle:headers()
    end
  end
  for _, name in ipairs(GRPC_HEADERS) do headers:remove(name) end
  if status < 400 and seen.stream then follow(handle, seen) end
end
