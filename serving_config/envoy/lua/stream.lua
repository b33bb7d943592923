-- SPDX-License-Identifier: GPL-3.0-or-later
-- Between the gRPC-Web filter, which writes the trailers of a stream as its last bytes, and the transcoder: to the first
-- a REST stream looks like gRPC-Web, to the second like JSON.

function envoy_on_request(handle)
  handle:headers():replace("content-type", "application/json")
end

function envoy_on_response(handle)
  local headers = handle:headers()
  -- Anything else the gRPC-Web filter takes for an error of the front, and wraps.
  if headers:get("content-type") ~= problem.CONTENT_TYPE then headers:replace("content-type", "application/grpc") end
end
