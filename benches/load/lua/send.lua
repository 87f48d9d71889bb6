-- Asks for codes, each for another phone.
--   pause=MS       each connection rests for so long on average between two
-- LOAD_PORTS=A,B,... in the environment: thread K calls the K-th of them (replicas)
--   keep=DIR       writes what a verify needs into DIR/K.txt

local here = debug.getinfo(1, "S").source:match("^@(.*)/")
dofile(here .. "/common.lua")

local ports = {}
for list in (os.getenv("LOAD_PORTS") or ""):gmatch("%d+") do table.insert(ports, list) end

function setup(thread)
   common.setup(thread)
   local port = ports[#common.threads]
   if port then thread.addr = wrk.lookup("127.0.0.1", port)[1] end
end

function init(args)
   local options = common.options(args)
   path, pause, keep = options.path, tonumber(options.pause or "0"), options.keep
   headers = { ["Content-Type"] = "application/json" }
   if pause > 0 then
      math.randomseed(options.start + id)
      delay = function() return math.random(0, 2 * pause) end
   end
   if keep then
      file = io.open(keep .. "/" .. id .. ".txt", "w")
      code = common.codes(options.codes)
      response = keep_it
   end
end

function request()
   local number = common.number()
   headers["X-Forwarded-For"] = common.address(number)
   if keep then headers["X-Request-Id"] = tostring(number) end
   return wrk.format("POST", path, headers,
      '{"client_id":"app","phone_number":"' .. common.phone(number) .. '"}')
end

function keep_it(status, answer, body)
   if status ~= 201 then return end
   local number = tonumber(answer["x-request-id"])
   file:write(body:match('"request_id":"([^"]+)"'), " ", code(number), " ", number, "\n")
   file:flush()
end

function done(summary, latency)
   common.done(summary, latency)
end
