-- Verifies what send.lua kept: the right code of each request, once. Ends when all are.

local here = debug.getinfo(1, "S").source:match("^@(.*)/")
dofile(here .. "/common.lua")

setup = common.setup

function init(args)
   local options = common.options(args)
   path = options.path
   headers = { ["Content-Type"] = "application/json" }
   bodies, addresses, at = {}, {}, 0
   for line in io.lines(options.keep .. "/" .. id .. ".txt") do
      local request_id, code, number = line:match("^(%S+) (%d+) (%d+)$")
      table.insert(bodies, '{"client_id":"app","request_id":"' .. request_id .. '","code":"' .. code .. '"}')
      table.insert(addresses, common.address(tonumber(number)))
   end
end

function request()
   common.begin()
   at = at + 1
   if at > #bodies then
      if at == #bodies + 1 then common.list_done(#bodies) end
      return wrk.format("GET", "/")
   end
   headers["X-Forwarded-For"] = addresses[at]
   return wrk.format("POST", path, headers, bodies[at])
end

function done(summary, latency)
   common.done(summary, latency, { "list_rate" })
end
