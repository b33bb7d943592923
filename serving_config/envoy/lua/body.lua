-- SPDX-License-Identifier: GPL-3.0-or-later
-- The inner filter, behind authentication and limits: the body of a REST request against the contract.

local MOST_NAMED = 100

function envoy_on_request(handle)
  local headers = handle:headers()
  if (headers:get("content-type") or ""):find("^application/grpc") then return end
  local methods = methods_at(without_query(headers:get(":path") or "/"))
  local method = methods and methods[headers:get(":method")]
  if not method or not method.message then return end
  local id = headers:get("x-request-id")
  local body = handle:body()
  local found = {{"request", "is empty; it must be a JSON object"}}
  if body and body:length() > 0 then
    found = strict.violations(body:getBytes(0, body:length()), method.message, schema, MOST_NAMED)
  end
  if #found > 0 then
    local document = problem.document(400, problem.invalid(found), id)
    handle:respond({[":status"] = "400", ["content-type"] = problem.CONTENT_TYPE}, document)
  end
end
