-- The multipart form of the file endpoints: first the path, then the file,
-- because the streaming endpoint reads the form as it arrives.

local ids = require("wrenn.ids")

local multipart = {}

--- Returns the bytes before and after the file, and the content type.
function multipart.frame(path)
  local boundary = ids.random(16)
  local head = "--" .. boundary .. "\r\n"
    .. 'Content-Disposition: form-data; name="path"\r\n\r\n'
    .. path .. "\r\n--" .. boundary .. "\r\n"
    .. 'Content-Disposition: form-data; name="file"; filename="upload"\r\n'
    .. "Content-Type: application/octet-stream\r\n\r\n"
  local tail = "\r\n--" .. boundary .. "--\r\n"
  return head, tail, "multipart/form-data; boundary=" .. boundary
end

return multipart
