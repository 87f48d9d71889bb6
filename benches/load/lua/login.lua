-- Complete logins: asks for a code, reads it where the vendor left it, and verifies it.

local here = debug.getinfo(1, "S").source:match("^@(.*)/")
dofile(here .. "/common.lua")

setup = common.setup

function init(args)
   local options = common.options(args)
   send, verify = options.send, options.verify
   code = common.codes(options.codes)
   headers = { ["Content-Type"] = "application/json" }
   sent, first, last = {}, 1, 0
   logins, failed = 0, 0
end

function request()
   local body, path, number
   if first <= last then
      local it = sent[first]
      sent[first], first = nil, first + 1
      number, path = it.number, verify
      body = '{"client_id":"app","request_id":"' .. it.request_id .. '","code":"' .. code(number) .. '"}'
   else
      number, path = common.number(), send
      body = '{"client_id":"app","phone_number":"' .. common.phone(number) .. '"}'
   end
   headers["X-Forwarded-For"] = common.address(number)
   -- An answer does not tell which phone it is about; this comes back with it.
   headers["X-Request-Id"] = tostring(number)
   return wrk.format("POST", path, headers, body)
end

function response(status, answer, body)
   if status == 201 then
      last = last + 1
      sent[last] = {
         number = tonumber(answer["x-request-id"]),
         request_id = body:match('"request_id":"([^"]+)"'),
      }
   elseif status == 200 then
      logins = logins + 1
   else
      failed = failed + 1
   end
end

function done(summary, latency)
   common.done(summary, latency, { "logins", "failed" })
end
