//! As much of DER (X.690 section 8) as is needed to see what a private key is before it is read: aws-lc
//! says of a key only that it does not like it.

/// `rsaEncryption`, 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// `id-ecPublicKey`, 1.2.840.10045.2.1.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// `prime256v1`, 1.2.840.10045.3.1.7.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Bytes of a private key on that curve.
const P256_BYTES: usize = 32;
/// `id-Ed25519`, 1.3.101.112.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// `parameters` of an `ECPrivateKey`: its member 0.
const PARAMETERS: u8 = 0xa0;

/// What a PKCS #8 key says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    P256,
    /// Elliptic, on a curve that tokens are not signed with here.
    OtherCurve,
    Ed25519,
    Other,
}

/// The first value in `input`, which must have this tag, and what follows it.
pub(super) fn value(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = input.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        // The number of bytes that hold the length; no key needs more than four.
        let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 4 {
            return None;
        }
        let length = bytes
            .iter()
            .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        (length, rest)
    };
    (first == tag).then(|| rest.split_at_checked(length))?
}

/// `PrivateKeyInfo` (RFC 5208 section 5): the algorithm, and the key itself.
fn private_key_info(pkcs8: &[u8]) -> Option<(&[u8], &[u8])> {
    let (info, _) = value(pkcs8, SEQUENCE)?;
    let (_version, info) = value(info, INTEGER)?;
    let (algorithm, info) = value(info, SEQUENCE)?;
    let (key, _) = value(info, OCTETS)?;
    Some((algorithm, key))
}

/// The key inside of PKCS #8, in the form of its own kind.
pub(super) fn inner_key(pkcs8: &[u8]) -> Option<&[u8]> {
    private_key_info(pkcs8).map(|(_, key)| key)
}

/// What kind of key it is; `None` if it is no PKCS #8.
pub(super) fn kind(pkcs8: &[u8]) -> Option<Kind> {
    let (algorithm, _) = private_key_info(pkcs8)?;
    let (name, parameters) = value(algorithm, OBJECT_ID)?;
    Some(match name {
        RSA => Kind::Rsa,
        ED25519 => Kind::Ed25519,
        EC => match value(parameters, OBJECT_ID) {
            Some((P256, _)) => Kind::P256,
            Some(_) | None => Kind::OtherCurve,
        },
        _ => Kind::Other,
    })
}

/// Whether an `ECPrivateKey` (RFC 5915 section 3) names a curve that is not P-256, or is too long for it.
pub(super) fn is_of_other_curve(sec1: &[u8]) -> bool {
    let read = || {
        let (key, _) = value(sec1, SEQUENCE)?;
        let (_version, key) = value(key, INTEGER)?;
        let (private, key) = value(key, OCTETS)?;
        let named = value(key, PARAMETERS).map(|(parameters, _)| value(parameters, OBJECT_ID));
        let is_other = named.is_some_and(|name| name.is_none_or(|(name, _)| name != P256));
        Some(is_other || private.len() > P256_BYTES)
    };
    read().unwrap_or(false)
}

/// Modulus and public exponent of an `RSAPrivateKey` (RFC 8017 appendix A.1.2).
pub(super) fn rsa_public(pkcs1: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, _) = value(pkcs1, SEQUENCE)?;
    let (_version, key) = value(key, INTEGER)?;
    let (modulus, key) = value(key, INTEGER)?;
    let (exponent, _) = value(key, INTEGER)?;
    Some((modulus, exponent))
}

/// Bits of an unsigned number, the first byte first.
pub(super) fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let significant = number.get(zeros..).unwrap_or_default();
    let in_first = significant.first().map_or(0, |byte| byte.leading_zeros());
    significant.len() * 8 - usize::try_from(in_first).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_number() {
        for (number, expected) in [
            (&[][..], 0),
            (&[0, 0], 0),
            (&[1], 1),
            (&[0, 0x80, 0], 16),
            (&[0x7f, 0xff], 15),
            (&[1, 0, 1], 17),
        ] {
            assert_eq!(bits(number), expected, "{number:?}");
        }
    }

    #[test]
    fn what_is_cut_short_or_is_something_else_is_nothing() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x03, 0x02, 0x01],
            &[0x30, 0x80, 0x00],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x02, 0x01, 0x00],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(kind(bytes), None, "{bytes:?}");
            assert_eq!(inner_key(bytes), None, "{bytes:?}");
            assert_eq!(rsa_public(bytes), None, "{bytes:?}");
        }
    }
}
