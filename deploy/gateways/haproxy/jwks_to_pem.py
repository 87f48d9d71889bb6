#!/usr/bin/env python3
"""Makes the files from which HAProxy checks otp-auth's tokens, with nothing but Python 3.

    jwks_to_pem.py JWKS-URL DIRECTORY && systemctl reload haproxy

It exits with 0 if a file has changed, with 3 if none has, and with 1, leaving all as it was, if the keys cannot
be had. Into the directory it writes a PEM for each key, keys.map (from a token's alg and kid to the PEM), and
keys.cfg, which makes HAProxy load the PEMs at its start. EdDSA keys, unknown to HAProxy, are left out.
"""

import base64
import hashlib
import json
import os
import pathlib
import re
import sys
import textwrap
import urllib.request

SECONDS = 5
# SubjectPublicKeyInfo up to the key itself: for a point on P-256 (RFC 5480), and RSA's algorithm (RFC 3279).
EC_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
RSA = bytes.fromhex("300d06092a864886f70d0101010500")


def member(jwk, name):
    text = jwk[name]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def der(tag, body):
    length = len(body)
    if length < 128:
        return bytes([tag, length]) + body
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def integer(octets):
    octets = octets.lstrip(b"\0")
    return der(0x02, b"\0" + octets if octets[0] & 0x80 else octets)


def public_key(jwk):
    """A JWK's algorithm and SubjectPublicKeyInfo; nothing if HAProxy cannot use it."""
    if jwk["kty"] == "EC" and jwk["crv"] == "P-256":
        return "ES256", EC_P256 + b"\4" + member(jwk, "x").rjust(32, b"\0") + member(jwk, "y").rjust(32, b"\0")
    if jwk["kty"] == "RSA":
        key = der(0x30, integer(member(jwk, "n")) + integer(member(jwk, "e")))
        return "RS256", der(0x30, RSA + der(0x03, b"\0" + key))
    return None


def files(jwks, directory):
    """The names and texts of all files."""
    made, keys, loads = {}, [], []
    for jwk in jwks["keys"]:
        algorithm, key = public_key(jwk) or (None, None)
        if not key:
            continue
        # A kid may be anything, so it names no file.
        name = hashlib.sha256(key).hexdigest()[:16] + ".pem"
        lines = textwrap.wrap(base64.b64encode(key).decode(), 64)
        made[name] = "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])
        path = directory / name
        if not re.fullmatch(r"[!-~]+", jwk["kid"]):
            raise ValueError("a kid would break a line of keys.map")
        keys.append(f"{algorithm}:{jwk['kid']} {path}\n")
        loads.append(f'    http-request set-var(txn.none) str(),jwt_verify({algorithm},"{path}")\n')
    if not keys:
        raise ValueError("there is no key for ES256 or RS256")
    made["keys.map"] = "".join(keys)
    made["keys.cfg"] = "# Nothing uses this backend: it names the keys, so that HAProxy loads them.\n"
    made["keys.cfg"] += "backend otp-auth-keys\n    mode http\n" + "".join(loads)
    return made


def write(path, text):
    """Whether the file has changed: at no time is there half of it."""
    if path.exists() and path.read_text() == text:
        return False
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    os.replace(new, path)
    return True


def main(url, directory):
    directory = pathlib.Path(directory).absolute()
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        made = files(json.load(answer), directory)
    directory.mkdir(parents=True, exist_ok=True)
    # The PEMs come first, and old ones go last.
    changed = [name for name, text in made.items() if write(directory / name, text)]
    for old in set(directory.glob("*.pem")) - {directory / name for name in made}:
        old.unlink()
    return 0 if changed else 3


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"the keys stay as they were: {error}")
