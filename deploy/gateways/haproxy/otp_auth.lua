-- http-request lua.otp_auth: asks otp-auth's hook about a request, by way of the proxy below. What the token must have is in txn.otp_auth_query.
--
-- Sets txn.otp_auth_status, and, as the hook says them, txn.otp_auth_challenge and the identity. Without an
-- answer it sets no status, so a configuration must let nothing through but 200.

local PROXY = "127.0.0.1:8002"
-- Milliseconds, more than the proxy gives the hook.
local TIMEOUT = 3000

-- What the hook gets of the request, and nothing of the body. Cookie is for gateway.cookie.
local ASKED = { "authorization", "cookie" }

local TOLD = {
    ["www-authenticate"] = "challenge",
    ["x-auth-subject"] = "subject",
    ["x-auth-session"] = "session",
    ["x-auth-client"] = "client",
    ["x-auth-scope"] = "scope",
    ["x-auth-expires"] = "expires",
    ["x-auth-phone"] = "phone",
}

-- The values of a header, which HAProxy counts from 0 in requests and from 1 in answers.
local function values(header)
    local found = {}
    for _, value in pairs(header or {}) do
        found[#found + 1] = value
    end
    return found
end

core.register_action("otp_auth", { "http-req" }, function(txn)
    local request = txn.http:req_get_headers()
    local headers = {}
    for _, name in ipairs(ASKED) do
        local given = values(request[name])
        if #given > 0 then
            headers[name] = given
        end
    end
    local answer = core.httpclient():get({
        url = "http://otp-auth/v1/authorize?" .. txn:get_var("txn.otp_auth_query"),
        dst = PROXY,
        headers = headers,
        timeout = TIMEOUT,
    })
    for name, variable in pairs(TOLD) do
        local told = values((answer.headers or {})[name])
        if #told == 1 then
            txn:set_var("txn.otp_auth_" .. variable, told[1])
        end
    end
    txn:set_var("txn.otp_auth_status", answer.status)
end)
