-- SPDX-License-Identifier: GPL-3.0-or-later
-- The inner filter, behind authentication and limits: the body of a REST request against the contract.

local MOST_NAMED = 100
-- The byte order mark that some editors and spreadsheets put before a text.
local UTF8_MARK = "\239\187\191"
-- To the filter behind this one, which makes a stream's trailers a part of its body.
local GRPC_WEB = "application/grpc-web+proto"

-- The body without a byte order mark, which RFC 8259 (section 8.1) lets a parser ignore and the transcoder does not.
local function text_of(handle)
  local body = handle:body()
  local text = body and body:getBytes(0, body:length()) or ""
  if text:sub(1, #UTF8_MARK) == UTF8_MARK then
    text = text:sub(#UTF8_MARK + 1)
    body:setBytes(text)
    handle:headers():remove("content-length")
  end
  return text
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if (headers:get("content-type") or ""):find("^application/grpc") then return end
  local methods = methods_at(without_query(headers:get(":path") or "/"))
  local method = methods and methods[headers:get(":method")]
  if not method or not method.message then return end
  local id = headers:get("x-request-id")
  local found = {{"request", "is empty; it must be a JSON object"}}
  local text = text_of(handle)
  if text ~= "" then found = strict.violations(text, method.message, schema, MOST_NAMED) end
  if #found > 0 then
    local document = problem.document(400, problem.invalid(found), id)
    return handle:respond({[":status"] = "400", ["content-type"] = problem.CONTENT_TYPE}, document)
  end
  if method.stream then handle:headers():replace("content-type", GRPC_WEB) end
end
