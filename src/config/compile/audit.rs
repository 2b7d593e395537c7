//! `telemetry.audit` → the audit log's settings.

use super::Workbench;
use crate::config::files;
use crate::config::gather::Written;
use crate::config::schema::telemetry::{Audit, AuditEvents as WrittenEvents, AuditOverflow, AuditSubject};
use crate::config::schema::value::{FilePath, SecretRef, Size};
use crate::config::site::Site;
use crate::secret::Secret;
use crate::telemetry::audit::{AuditEvents, AuditSettings, AuditTerms, Overflow, SubjectForm};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// The shortest key, in bytes: the strength of the chain's hash.
const MIN_KEY: usize = 32;
/// The size of a file if nothing is written.
const DEFAULT_ROTATE: u64 = 100 << 20;
/// How large a file may become: a smaller one would be set aside every second.
const ROTATE: RangeInclusive<u64> = 64 << 10..=64 << 30;

/// Compiles `telemetry.audit`; `None` if there is none, and after a fault.
pub fn compile(written: &Written, bench: &mut Workbench<'_>) -> Option<AuditSettings> {
    let audit = written.gateway.telemetry.as_ref()?.audit.as_ref()?;
    let site = written.root.key("telemetry").key("audit");
    let key = audit.key.as_ref().and_then(|key| chain_key(key, &site.key("key"), bench));
    let rotate = rotate(audit.rotate, &site.key("rotate"), bench);
    let file = audit.file.as_ref().and_then(|file| place(file, &site.key("file"), bench));
    Some(AuditSettings { file: file?, key: key?, rotate: rotate?, terms: terms(audit) })
}

fn rotate(written: Option<Size>, site: &Site, bench: &mut Workbench<'_>) -> Option<u64> {
    let bytes = written.map_or(DEFAULT_ROTATE, Size::bytes);
    if ROTATE.contains(&bytes) {
        return Some(bytes);
    }
    bench.faults.push(site, "is out of range", "write a size from `64KiB` to `64GiB`");
    None
}

/// Where the file is; `None` after a fault. A directory that is not there is none: the machine that checks a
/// configuration need not be the one that runs it.
fn place(file: &FilePath, site: &Site, bench: &mut Workbench<'_>) -> Option<PathBuf> {
    let file = files::locate(file.as_str(), site);
    if file.is_dir() {
        bench.faults.push(site, format!("names {}, which is a directory", file.display()), "name a file in it");
        return None;
    }
    if !file.parent().is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir()) {
        bench.warn(site, "stands in a directory that does not exist here: nothing is written until it does");
    }
    Some(file)
}

fn terms(audit: &Audit) -> AuditTerms {
    AuditTerms {
        events: match audit.events {
            None | Some(WrittenEvents::All) => AuditEvents::All,
            Some(WrittenEvents::Denials) => AuditEvents::Denials,
        },
        subject: match audit.subject {
            Some(AuditSubject::Clear) => SubjectForm::Clear,
            None | Some(AuditSubject::Hash) => SubjectForm::Hash,
            Some(AuditSubject::None) => SubjectForm::None,
        },
        overflow: match audit.overflow {
            None | Some(AuditOverflow::Block) => Overflow::Block,
            Some(AuditOverflow::Drop) => Overflow::Drop,
        },
        trace: audit.trace.unwrap_or(false),
    }
}

fn chain_key(reference: &SecretRef, site: &Site, bench: &mut Workbench<'_>) -> Option<Secret<Vec<u8>>> {
    let bytes = bench.secret(reference, site)?;
    let bytes = Secret::new(bytes.expose().strip_suffix(b"\n").unwrap_or(bytes.expose()).to_vec());
    if bytes.expose().len() < MIN_KEY {
        let problem = format!("names `{reference}`, which is shorter than {MIN_KEY} bytes");
        bench.faults.push(site, problem, "put a random key there, such as that of `openssl rand -hex 32`");
        return None;
    }
    Some(bytes)
}
