//! Names of generated policies, and how one sees that nobody changed them.

use crate::policy::NetworkPolicy;

use super::yaml::spec;

/// Label and value of every policy that was generated.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "weir");
/// The annotation with the [`spec_hash`].
pub const SPEC_ANNOTATION: &str = "weir.dev/spec";
/// The longest name: that of a label's value, so that the name can be one.
const LONGEST: usize = 63;
/// Digits of a hash in a name.
const DIGITS: usize = 8;

/// Sixteen hexadecimal digits of a policy's spec. Another than the annotation says that
/// somebody changed the policy.
pub fn spec_hash(policy: &NetworkPolicy) -> String {
    format!("{:016x}", fnv1a(spec(policy).to_string().as_bytes()))
}

/// FNV-1a of 64 bits: the same on every machine and in every version.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// `weir-<kind>-<name>`; if that is too long, its start with digits of its hash.
pub(super) fn name(kind: &str, name: &str) -> String {
    cut(&format!("weir-{kind}-{name}"))
}

/// A name, or its start with digits of its hash.
pub(super) fn cut(whole: &str) -> String {
    match whole.len() > LONGEST {
        true => with_hash(whole, whole),
        false => whole.to_owned(),
    }
}

/// A name with digits of the hash of something that tells it from others.
pub(super) fn with_hash(name: &str, of: &str) -> String {
    let hash = format!("{:016x}", fnv1a(of.as_bytes()));
    let mut start = name.len().min(LONGEST - DIGITS - 1);
    while !name.is_char_boundary(start) {
        start -= 1;
    }
    let start = name[..start].trim_end_matches(['-', '.']);
    format!("{start}-{}", &hash[..DIGITS])
}
