-- For LuaHookAccessChecker: asks otp-auth's hook about a request, and gives the API the identity it says.
-- Whatever goes wrong, the client gets an error, and the API no request.

local http = require("socket.http")

-- What the token must have. More: &scope=orders.read%20orders.write &max_age=300
local HOOK = "http://127.0.0.1:8080/v1/authorize?audience=orders-api"
-- Seconds, for each step of a call. The hook looks nothing up, so it answers within milliseconds.
http.TIMEOUT = 1

-- What the hook gets of the request, besides the method, and nothing of the body. Cookie is for
-- gateway.cookie. By the others it knows a CORS preflight, which has no token, and lets it through.
local ASKED = { "Authorization", "Cookie", "Origin", "Access-Control-Request-Method" }
local TOLD = { "Subject", "Session", "Client", "Scope", "Expires", "Phone" }

function authorize(r)
    -- Clients do not say who they are. X_Auth_Subject is X-Auth-Subject to many an API (CGI, WSGI, PHP).
    for name in pairs(r:headers_in_table()) do
        if name:lower():match("^x[-_]auth[-_]") then
            r.headers_in[name] = nil
        end
    end

    local headers = {}
    for _, name in ipairs(ASKED) do
        headers[name] = r.headers_in[name]
    end
    local answered, status, told = http.request({
        url = HOOK,
        method = r.method,
        headers = headers,
        redirect = false,
    })
    if not answered then
        return 503
    end
    if status == 401 or status == 403 then
        r.err_headers_out["WWW-Authenticate"] = told["www-authenticate"]
        return status
    end
    if status ~= 200 then
        return 503
    end
    for _, name in ipairs(TOLD) do
        r.headers_in["X-Auth-" .. name] = told["x-auth-" .. name:lower()]
    end
    return apache2.OK
end
