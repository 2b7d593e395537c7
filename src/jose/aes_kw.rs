//! AES Key Wrap (RFC 3394) over EVP's AES, which runs on AES-NI. OpenSSL's own `AES_unwrap_key` is table-based:
//! slower, and a cache-timing surface.

use super::cipher::{Mode, aes};
use openssl::cipher_ctx::CipherCtx;
use openssl::memcmp;
use zeroize::Zeroizing;

/// The default initial value (RFC 3394 §2.2.3.1).
const INITIAL_VALUE: [u8; 8] = [0xa6; 8];

/// How much longer the wrapped key is.
pub(super) const OVERHEAD: usize = 8;

/// Unwraps (RFC 3394 §2.2.2, index form). `None` for any wrong length, key or content.
pub(super) fn unwrap(kek: &[u8], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (mut check, mut key) = split(wrapped)?;
    let mut block = Block::new(kek, Direction::Decrypt)?;
    let semiblocks = key.len() / 8;
    for round in (0..6).rev() {
        for (index, register) in key.chunks_exact_mut(8).enumerate().rev() {
            xor_counter(&mut check, round * semiblocks + index + 1);
            block.apply(&mut check, register)?;
        }
    }
    memcmp::eq(&check, &INITIAL_VALUE).then_some(key)
}

/// Wraps (RFC 3394 §2.2.1, index form).
pub(super) fn wrap(kek: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let mut wrapped = [&INITIAL_VALUE, key].concat();
    let (mut check, mut registers) = split(&wrapped)?;
    let mut block = Block::new(kek, Direction::Encrypt)?;
    let semiblocks = registers.len() / 8;
    for round in 0..6 {
        for (index, register) in registers.chunks_exact_mut(8).enumerate() {
            block.apply(&mut check, register)?;
            xor_counter(&mut check, round * semiblocks + index + 1);
        }
    }
    wrapped.clear();
    wrapped.extend_from_slice(&check);
    wrapped.extend_from_slice(&registers);
    Some(wrapped)
}

/// The check value and the registers: at least two registers, in whole semiblocks.
fn split(wrapped: &[u8]) -> Option<([u8; 8], Zeroizing<Vec<u8>>)> {
    let (check, registers) = wrapped.split_first_chunk::<8>()?;
    (registers.len() >= 16 && registers.len().is_multiple_of(8)).then(|| (*check, Zeroizing::new(registers.to_vec())))
}

fn xor_counter(check: &mut [u8; 8], counter: usize) {
    check.iter_mut().zip((counter as u64).to_be_bytes()).for_each(|(byte, count)| *byte ^= count);
}

#[derive(Clone, Copy)]
enum Direction {
    Encrypt,
    Decrypt,
}

/// One AES block operation under a key scheduled once.
struct Block {
    ctx: CipherCtx,
    input: Zeroizing<[u8; 16]>,
    /// EVP demands room for a second block, though without padding it never writes it.
    output: Zeroizing<[u8; 32]>,
}

impl Block {
    fn new(kek: &[u8], direction: Direction) -> Option<Self> {
        let cipher = aes(Mode::Ecb, kek.len())?;
        let mut ctx = CipherCtx::new().ok()?;
        match direction {
            Direction::Encrypt => ctx.encrypt_init(Some(cipher), Some(kek), None),
            Direction::Decrypt => ctx.decrypt_init(Some(cipher), Some(kek), None),
        }
        .ok()?;
        ctx.set_padding(false);
        Some(Self { ctx, input: Zeroizing::new([0; 16]), output: Zeroizing::new([0; 32]) })
    }

    /// Runs the block `check | register` through the cipher in place.
    fn apply(&mut self, check: &mut [u8; 8], register: &mut [u8]) -> Option<()> {
        self.input[..8].copy_from_slice(check);
        self.input[8..].copy_from_slice(register);
        self.ctx.cipher_update(&self.input[..], Some(&mut self.output[..])).ok()?;
        check.copy_from_slice(&self.output[..8]);
        register.copy_from_slice(&self.output[8..16]);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_vectors_of_rfc_3394_section_4() {
        let cases = [
            (16, "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"),
            (24, "00112233445566778899AABBCCDDEEFF", "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D"),
            (32, "00112233445566778899AABBCCDDEEFF", "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"),
            (
                32,
                "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
                "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
            ),
        ];
        for (len, key, wrapped) in cases {
            let kek: Vec<u8> = (0..len).collect();
            assert_eq!(wrap(&kek, &unhex(key)), Some(unhex(wrapped)), "{len}");
            assert_eq!(unwrap(&kek, &unhex(wrapped)).as_deref(), Some(&unhex(key)), "{len}");
        }
    }

    #[test]
    fn wrapped_keys_of_any_other_length_are_refused_not_panicked_on() {
        for len in (0..24).chain([25, 31, 33]) {
            assert_eq!(unwrap(&[0; 16], &vec![0; len]), None, "{len}");
        }
        assert_eq!(unwrap(&[0; 15], &[0; 24]), None);
        assert_eq!(wrap(&[0; 16], &[0; 8]), None);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let wrapped = wrap(&[7; 32], &[9; 32]).unwrap();
        for bit in 0..wrapped.len() * 8 {
            let mut bad = wrapped.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unwrap(&[7; 32], &bad), None, "bit {bit}");
        }
    }
}
