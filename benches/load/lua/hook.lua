-- Calls with the tokens of a file, one a line: round and round, or with `once=1` each of them once.

local here = debug.getinfo(1, "S").source:match("^@(.*)/")
dofile(here .. "/common.lua")

setup = common.setup

function init(args)
   local options = common.options(args)
   once = options.once
   calls, at = {}, 0
   local line_number = 0
   for token in io.lines(options.tokens) do
      if line_number % options.threads == id then
         table.insert(calls, wrk.format("GET", options.path, { ["Authorization"] = "Bearer " .. token }))
      end
      line_number = line_number + 1
   end
end

function request()
   common.begin()
   at = at + 1
   if at > #calls then
      if once and not list_rate then common.list_done(#calls) end
      at = 1
   end
   return calls[at]
end

function done(summary, latency)
   common.done(summary, latency, { "list_rate" })
end
