-- Drives wrk from a plan that Python writes: dofile(args[1]) returns
-- {method, path, headers, body, mode, values, take, taken, count}; values is a file with one value in each line.
--
-- VALUE in a header, the path or the body is replaced. mode "cycle": the values in turn, over and over. "once": each once; a request
-- more repeats them and is counted as exhausted. "queue": like "once", and what a response gives joins the queue. "unique": values[1] and a number.
-- take: a pattern; what it captures in a response is queued (mode "queue") or written to the file `taken`.

local plan, ready, first, last, number, sink
local threads = {}
exhausted, refused_politely, refused_rudely = 0, 0, 0

function setup(thread) table.insert(threads, thread) end

local function fill(text, value)
  if not text then return nil end
  return (text:gsub("VALUE", function() return value end))
end

local function make(value)
  local headers = {}
  for name, text in pairs(plan.headers) do headers[name] = fill(text, value) end
  return wrk.format(plan.method, fill(plan.path, value), headers, fill(plan.body, value))
end

function init(args)
  plan = dofile(args[1])
  local values = {}
  for line in io.lines(plan.values) do values[#values + 1] = line end
  plan.values = values
  ready, first, number = {}, 1, 0
  last = #plan.values
  if plan.mode ~= "unique" then
    for i, value in ipairs(plan.values) do ready[i] = make(value) end
  end
  if plan.taken then
    sink = io.open(plan.taken, "w")
    sink:setvbuf("line")
  end
  if plan.take or plan.count then response = on_response end
end

function request()
  if plan.mode == "unique" then
    number = number + 1
    return make(plan.values[1] .. number)
  end
  if first > last then
    if plan.mode ~= "cycle" then exhausted = exhausted + 1 end
    first = 1
    if plan.mode == "queue" then first = last end
  end
  local found = ready[first]
  first = first + 1
  return found
end

function on_response(status, headers, body)
  if plan.take then
    local value = body:match(plan.take)
    if value and sink then
      sink:write(value, "\n")
    elseif value then
      if plan.mode == "queue" and first > 4096 then -- forget what has been sent
        local kept = {}
        for i = first, last do kept[#kept + 1] = ready[i] end
        ready, last, first = kept, #kept, 1
      end
      last = last + 1
      ready[last] = make(value)
    end
  end
  if plan.count and status == 503 then
    local told = headers["Retry-After"] or headers["retry-after"]
    if told then refused_politely = refused_politely + 1 else refused_rudely = refused_rudely + 1 end
  end
end

function done(summary, latency, requests)
  local sum = {exhausted = 0, refused_politely = 0, refused_rudely = 0}
  for _, thread in ipairs(threads) do
    for name in pairs(sum) do sum[name] = sum[name] + (thread:get(name) or 0) end
  end
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "status_errors": %d, "socket_errors": %d, "timeouts": %d, "exhausted": %d, ' ..
    '"refused_politely": %d, "refused_rudely": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write, errors.timeout,
    sum.exhausted, sum.refused_politely, sum.refused_rudely, latency:percentile(50), latency:percentile(99)))
end
