"""What schemathesis cannot know from the document: who it is, which numbers and codes are good, and which
refusals are about the state of things rather than about what was sent."""

import base64
import itertools
import json
import os

import requests
import schemathesis
from hypothesis import strategies

SERVICE = os.environ["SERVICE"]
CLIENT = (os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])
USER, *NUMBERS = os.environ["TEST_NUMBERS"].split(",")
CODE = os.environ["TEST_CODE"]
FOLLOWS_LINKS = os.environ["PHASES"] == "stateful"
# What a well-formed call may be refused for: made-up ids and tokens, and keys that came before.
REFUSALS = {"otp_request_expired", "idempotency_conflict", "invalid_grant"}
# Of the document.
EXAMPLE_KEY = "b6d1c1f2-8c0e-4d6c-9d62-8f4a3c1c9b11"

WAITS = [wait for seconds in range(1, 56) for wait in (seconds, str(seconds))]

counter = itertools.count()
schemathesis.openapi.format("phone", strategies.sampled_from(NUMBERS))


def post(path, body):
    answer = requests.post(SERVICE + path, json=body, auth=CLIENT, timeout=10)
    answer.raise_for_status()
    return answer


def number():
    return NUMBERS[next(counter) % len(NUMBERS)]


def sent(phone):
    return post("/v1/otp/send", {"phone_number": phone}).json()["request_id"]


@schemathesis.auth().skip_for(tag=["Sessions", "Gateway", "Discovery"])
class Client:
    """A confidential client."""

    def get(self, case, context):
        return base64.b64encode(":".join(CLIENT).encode()).decode()

    def set(self, case, pair, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Basic {pair}"}


@schemathesis.auth(refresh_interval=None).apply_to(tag=["Sessions", "Gateway"])
class User:
    """Always the same, who logs in for every call: some of them log out."""

    def get(self, case, context):
        login = {"request_id": sent(USER), "code": CODE}
        return post("/v1/otp/verify", login).json()["access_token"]

    def set(self, case, token, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}


@schemathesis.hook
def before_load_schema(context, document):
    """Takes `client_id` out where calls follow links: schemathesis takes it for the id of something that another
    call makes, finds no such call, and would begin with none of those that have it."""
    if not FOLLOWS_LINKS:
        return
    for path in document["paths"].values():
        for call in path.values():
            for content in call.get("requestBody", {}).get("content", {}).values():
                name = content["schema"]["$ref"].rsplit("/", 1)[1]
                document["components"]["schemas"][name]["properties"].pop("client_id", None)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Puts what is good in the place of what was made up, where the call is to be good; half of the ids and codes
    stay as they are."""
    # The example's is sent more than once, with other bodies.
    if case.headers and case.headers.get("Idempotency-Key") == EXAMPLE_KEY:
        case.headers["Idempotency-Key"] = f"key-{next(counter)}"
    # What is waited for does not come.
    if case.query and case.query.get("wait") in WAITS:
        case.query["wait"] = 0
    if case.meta is not None and case.meta.generation.mode.is_negative:
        return
    body = case.body if isinstance(case.body, dict) else {}
    if isinstance(body.get("client_id"), str):
        body["client_id"] = CLIENT[0]
    # It is sent in the header.
    body.pop("client_secret", None)
    if "phone_number" in body and body["phone_number"] not in NUMBERS:
        body["phone_number"] = number()
    if "code" in body and body["code"][-1] in "02468":
        body["code"] = CODE
    # All that the client has, also where it was nothing: a refresh may ask for no more.
    if body.get("scope") is not None:
        body["scope"] = "phone"
    if body.get("audience") is not None:
        body["audience"] = "api" if isinstance(body["audience"], str) else ["api"]
    if case.operation.path.startswith("/auth/verify"):
        cookies = post("/auth/send-otp", {"phone_number": number()}).cookies
        case.cookies = {**(case.cookies or {}), **cookies}
    if not FOLLOWS_LINKS:
        for place in (body, case.path_parameters or {}):
            if "request_id" in place and place["request_id"][-1] in "02468ace":
                place["request_id"] = sent(number())


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether it is one: ST202 is that a well-formed call was refused."""
    if failure.code != "ST202":
        return True
    try:
        body = json.loads(response.content)
    except ValueError:
        return True
    return body.get("code", body.get("error")) not in REFUSALS
