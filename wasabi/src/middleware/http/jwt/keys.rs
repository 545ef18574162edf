//! Requirements of algorithms for their keys.

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};

/// Whether a key can verify all of these algorithms, and is large enough for each (RFC 7518, sections 3.2 and 3.3).
pub(super) fn check(key: &DecodingKey, algorithms: &[Algorithm]) -> Result<(), String> {
    if algorithms.is_empty() {
        return Err("no algorithm is allowed".to_owned());
    }
    for algorithm in algorithms {
        if algorithm.family() != key.family() {
            return Err(format!("it cannot verify {algorithm:?}"));
        }
        let least = match algorithm {
            Algorithm::HS256 => 32,
            Algorithm::HS384 => 48,
            Algorithm::HS512 => 64,
            _ => continue,
        };
        let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
        if bytes < least {
            return Err(format!(
                "the secret has {bytes} bytes; {algorithm:?} needs at least {least}"
            ));
        }
    }
    if key.family() == AlgorithmFamily::Rsa && modulus_bits(key) < LEAST_MODULUS {
        return Err(format!("its modulus has fewer than {LEAST_MODULUS} bits"));
    }
    Ok(())
}

const LEAST_MODULUS: usize = 2048;

/// The size of an RSA modulus in bits. For DER this is a little too large, because other fields are included.
fn modulus_bits(key: &DecodingKey) -> usize {
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => {
            let mut significant = n.iter().skip_while(|byte| **byte == 0).peekable();
            let unused = significant.peek().map_or(0, |first| first.leading_zeros());
            (significant.count() * 8).saturating_sub(unused as usize)
        }
        DecodingKeyKind::SecretOrDer(der) => der.len() * 8,
    }
}
