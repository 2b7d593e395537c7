//! The signature of a proof: here, or in the workshop where it takes long.

use super::{ProofError, ProofTools};
use crate::authn::workshop;
use crate::clock::Stopwatch;
use crate::jose::{EmbeddedKey, JwsParts, SigningAlgorithm, VerificationKey};
use crate::observe::Observer;
use std::sync::Arc;

/// Verifies the proof's signature with the key in it, which is the token's.
pub(super) async fn verify(jws: &JwsParts<'_>, key: EmbeddedKey, tools: ProofTools<'_>) -> Result<(), ProofError> {
    if key.is_heavy() {
        return verify_elsewhere(jws, key, tools).await;
    }
    let algorithm = key.algorithm();
    let key = match tools.keys {
        Some(keys) => keys.import(key),
        None => key.import().map(Arc::new),
    };
    verify_with(algorithm, &*key.map_err(|_| UNSOUND)?, jws.signing_input, &jws.signature, tools.observer)
}

/// Importing a key on a large curve takes as long as verifying with it.
async fn verify_elsewhere(jws: &JwsParts<'_>, key: EmbeddedKey, tools: ProofTools<'_>) -> Result<(), ProofError> {
    let (algorithm, input, signature) = (key.algorithm(), jws.signing_input.to_owned(), jws.signature.clone());
    let known = tools.keys.and_then(|keys| keys.known(&key));
    let name = key.clone();
    let work = move |observer: &dyn Observer| {
        let key = known.map_or_else(|| key.import().map(Arc::new), Ok).map_err(|_| UNSOUND)?;
        let verdict = verify_with(algorithm, &key, &input, &signature, observer);
        Ok((key, verdict))
    };
    let done = workshop::ask(tools.workshop, tools.observer, work).await.map_err(|_| ProofError::Overloaded)?;
    let (imported, verdict) = done?;
    if let Some(keys) = tools.keys {
        keys.keep(&name, imported);
    }
    verdict
}

/// A key whose numbers are none.
const UNSOUND: ProofError = ProofError::Malformed("jwk is no sound key");

fn verify_with(
    algorithm: SigningAlgorithm,
    key: &VerificationKey,
    signing_input: &str,
    signature: &[u8],
    observer: &dyn Observer,
) -> Result<(), ProofError> {
    let watch = Stopwatch::start();
    let verdict = key.verify(algorithm, signing_input.as_bytes(), signature);
    observer.verified(algorithm.name(), watch.elapsed());
    verdict.map_err(|_| ProofError::Mismatch("the signature does not verify"))
}
