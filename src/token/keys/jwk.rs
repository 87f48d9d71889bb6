//! Reads a private JWK (RFC 7517, RFC 7518 section 6, RFC 8037).

use aws_lc_rs::rsa::{self, KeyPairComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::zeroize::Zeroizing;
use serde_json::{Map, Value};

use super::ImportError;
use super::import::check_rsa;
use super::key::PrivateKey;

/// Bytes of a private key, of a coordinate and of a seed, on P-256 and Ed25519.
const CURVE_BYTES: usize = 32;
/// First byte of a point that is written with both coordinates (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

pub(super) struct ReadJwk {
    pub(super) key: PrivateKey,
    pub(super) kid: Option<String>,
}

struct Members(Map<String, Value>);

impl Members {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn bytes(&self, name: &'static str) -> Result<Zeroizing<Vec<u8>>, ImportError> {
        let text = self.text(name).ok_or(ImportError::Member(name))?;
        let bytes = URL_SAFE_NO_PAD.decode(text);
        bytes.map(Zeroizing::new).or(Err(ImportError::Member(name)))
    }

    /// A number of fixed length.
    fn fixed(&self, name: &'static str) -> Result<Zeroizing<Vec<u8>>, ImportError> {
        let bytes = self.bytes(name)?;
        if bytes.len() == CURVE_BYTES {
            Ok(bytes)
        } else {
            Err(ImportError::Inconsistent)
        }
    }
}

pub(super) fn read(text: &str) -> Result<ReadJwk, ImportError> {
    let members: Map<String, Value> =
        serde_json::from_str(text).or(Err(ImportError::Damaged("it is not JSON")))?;
    if members.contains_key("keys") {
        return Err(ImportError::Set);
    }
    let members = Members(members);
    let family = members.text("kty").ok_or(ImportError::Member("kty"))?;
    if family == "oct" {
        return Err(ImportError::Symmetric);
    }
    if !["EC", "OKP", "RSA"].contains(&family) {
        return Err(ImportError::Kind);
    }
    let curve = members.text("crv").unwrap_or_default();
    if (family == "EC" && curve != "P-256") || (family == "OKP" && curve != "Ed25519") {
        return Err(ImportError::Curve);
    }
    if !members.0.contains_key("d") {
        return Err(ImportError::PublicOnly);
    }
    let key = match family {
        "EC" => ec(&members),
        "OKP" => ed25519(&members),
        _ => rsa(&members),
    }?;
    if members.text("use").unwrap_or("sig") != "sig" {
        return Err(ImportError::Purpose("use"));
    }
    // RFC 9864 names EdDSA with Ed25519 anew.
    let is_its_own = |named| named == key.algorithm.name() || (family, named) == ("OKP", "Ed25519");
    if members.text("alg").is_some_and(|named| !is_its_own(named)) {
        return Err(ImportError::Purpose("alg"));
    }
    let kid = match members.0.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err(ImportError::Kid),
    };
    Ok(ReadJwk { key, kid })
}

fn ec(members: &Members) -> Result<PrivateKey, ImportError> {
    let (x, y) = (members.fixed("x")?, members.fixed("y")?);
    let point = [&[UNCOMPRESSED], x.as_slice(), y.as_slice()].concat();
    let private = members.fixed("d")?;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &private,
        &point,
    )?;
    Ok(PrivateKey::from_ec(&pair)?)
}

fn ed25519(members: &Members) -> Result<PrivateKey, ImportError> {
    let (seed, public) = (members.fixed("d")?, members.fixed("x")?);
    let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &public)?;
    Ok(PrivateKey::from_ed25519(&pair)?)
}

/// All of its members must be there: a key can be made of `n`, `e` and `d` alone (RFC 7518 section 6.3.2),
/// but nobody writes it so.
fn rsa(members: &Members) -> Result<PrivateKey, ImportError> {
    let (n, e) = (members.bytes("n")?, members.bytes("e")?);
    check_rsa(&n, &e)?;
    let pair = rsa::KeyPair::from_components(&KeyPairComponents {
        public_key: RsaPublicKeyComponents {
            n: n.as_slice(),
            e: e.as_slice(),
        },
        d: members.bytes("d")?.as_slice(),
        p: members.bytes("p")?.as_slice(),
        q: members.bytes("q")?.as_slice(),
        dP: members.bytes("dp")?.as_slice(),
        dQ: members.bytes("dq")?.as_slice(),
        qInv: members.bytes("qi")?.as_slice(),
    })?;
    Ok(PrivateKey::from_rsa(&pair)?)
}
