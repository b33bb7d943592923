-- SPDX-License-Identifier: GPL-3.0-or-later
-- Which REST methods are where; `schema` is generated from the google.api.http annotations.

-- The REST methods at a path: {POST = {message = "PredictRequest", stream = false}}, nil where there are none.
local function methods_at(path)
  local exact = schema.paths[path]
  if exact then return exact end
  for _, pattern in ipairs(schema.patterns) do
    if path:find(pattern[1]) then return pattern[2] end
  end
  return nil
end

local function without_query(path)
  return path:match("^[^?#]*")
end
