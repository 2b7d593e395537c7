//! The closed list of reasons for a refusal, made from [`Reason`](crate::decision::Reason).
#![doc = include_str!("reasons.md")]

/// The table as text: what `reasons.md` must hold.
#[must_use]
pub fn table() -> String {
    use crate::decision::{ChallengeKind, Reason};
    let mut text = String::from("\n| reason | status | challenge | meaning |\n|---|---|---|---|\n");
    for reason in Reason::ALL {
        let challenge = match reason.challenge() {
            ChallengeKind::None => "–",
            ChallengeKind::Ask => "without an error code",
            ChallengeKind::InvalidRequest => "`invalid_request`",
            ChallengeKind::InvalidToken => "`invalid_token`",
            ChallengeKind::InsufficientScope => "`insufficient_scope`",
            ChallengeKind::InvalidProof => "`invalid_dpop_proof`",
            ChallengeKind::UseNonce => "`use_dpop_nonce`",
            ChallengeKind::StepUp => "`insufficient_user_authentication`",
        };
        let row = format!("| `{}` | {} | {challenge} | {} |\n", reason.label(), reason.status(), reason.meaning());
        text.push_str(&row);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_what_the_code_says() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manual/reasons.md");
        let written = std::fs::read_to_string(page).unwrap_or_default();
        if written != super::table() {
            std::fs::write(page, super::table()).unwrap();
            assert_eq!(written, super::table(), "src/manual/reasons.md has been written anew, commit it");
        }
    }
}
