-- What the scripts share: which phone comes next, and what is told at the end. wrk runs each thread with a Lua state
-- of its own; thread K of T takes every T-th phone.

local ffi = require("ffi")
ffi.cdef [[
int open(const char *path, int flags);
struct time { long seconds, nanoseconds; };
int clock_gettime(int clock, struct time *time);
long pread(int file, void *to, size_t bytes, long offset);
]]

common = { threads = {} }

-- A phone of its own for each number below 10^9, spread over all prefixes: the factor has no divisor in common
-- with 10^9. The product fits into the 53 bits of a Lua number as long as there are less than 10^9 phones.
local FACTOR = 7368787
-- Addresses of the callers: so many that each calls once in a while, as behind a proxy.
local ADDRESSES = 4194304

function common.setup(thread)
   thread:set("id", #common.threads)
   table.insert(common.threads, thread)
end

-- Reads `key=value` arguments.
function common.options(args)
   local options = {}
   for _, argument in ipairs(args) do
      local key, value = argument:match("^(%w+)=(.*)$")
      if key then options[key] = value end
   end
   options.threads = tonumber(options.threads)
   options.start = tonumber(options.start or "0")
   common.next_number = options.start + id
   common.step = options.threads
   return options
end

function common.number()
   local number = common.next_number
   common.next_number = number + common.step
   return number
end

function common.phone(number)
   return string.format("+91%d", 9000000000 + number * FACTOR % 1000000000)
end

function common.address(number)
   local place = number * 2654435 % ADDRESSES
   return string.format("10.%d.%d.%d", math.floor(place / 65536), math.floor(place / 256) % 256, place % 256)
end

-- The code that the vendor was given for a phone; `nil` if it was given none.
local buffer = ffi.new("char[8]")
function common.codes(path)
   local file = ffi.C.open(path, 0)
   return function(number)
      if ffi.C.pread(file, buffer, 6, number * 8) ~= 6 then return nil end
      return ffi.string(buffer, 6)
   end
end

-- Seconds since some moment.
local now = ffi.new("struct time")
function common.time()
   ffi.C.clock_gettime(1, now)
   return tonumber(now.seconds) + tonumber(now.nanoseconds) / 1e9
end

-- For a list that is worked off: wrk goes on counting the time when it is at its end, so the rate is taken here.
-- `begun`, `at` (how many it has taken of the list) and `list_rate` are variables of the thread.
function common.begin()
   begun = begun or common.time()
end
function common.list_done(count)
   list_rate = math.floor(count / (common.time() - begun))
   wrk.thread:stop()
end

-- Of all threads; one that is not at the end of its list has its rate up to here.
function common.list_rate()
   local sum = 0
   for _, thread in ipairs(common.threads) do
      sum = sum + (thread:get("list_rate") or math.floor(thread:get("at") / (common.time() - thread:get("begun"))))
   end
   return sum
end

-- One line of JSON; `names` are variables of the threads to add up.
function common.done(summary, latency, names)
   local counts = {}
   for _, name in ipairs(names or {}) do
      local sum = 0
      for _, thread in ipairs(common.threads) do sum = sum + (thread:get(name) or 0) end
      if name == "list_rate" and sum > 0 then sum = common.list_rate() end
      table.insert(counts, string.format('"%s":%d', name, sum))
   end
   local errors = summary.errors
   io.write(string.format(
      '\nRESULT {"duration_us":%d,"requests":%d,"refused":%d,"broken":%d,"p50_us":%d,"p99_us":%d,"counts":{%s}}\n',
      summary.duration, summary.requests, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50), latency:percentile(99), table.concat(counts, ",")))
end
