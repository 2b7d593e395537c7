//! Files that a configuration names: found relative to the file that names them, read whole, and bounded.

use super::fault::Faults;
use super::inputs::Inputs;
use super::site::Site;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The path `name`, taken relative to the file `site` stands in.
#[must_use]
pub fn locate(name: &str, site: &Site) -> PathBuf {
    site.document().directory().join(name)
}

/// The content of the file `name`, noted among `inputs`; `None` after a fault at `site`.
pub fn read(name: &str, limit: usize, site: &Site, inputs: &mut Inputs, faults: &mut Faults) -> Option<Vec<u8>> {
    let path = locate(name, site);
    match inputs.read(&path, limit) {
        Ok(bytes) => Some(bytes),
        Err(why) => {
            let problem = format!("names the file {}, which {why}", path.display());
            faults.push(site, problem, "name a readable file, relative to this one");
            None
        }
    }
}

/// The content of `path` if it is at most `limit` bytes; otherwise why not, to be put behind "which".
pub fn read_bounded(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| reason(&error))?;
    let kind = file.metadata().map_err(|error| reason(&error))?;
    if kind.is_dir() {
        return Err("is a directory".to_owned());
    }
    // One byte more than permitted tells "too large" from "just fits", whatever the metadata claims.
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if bytes.len() > limit {
        return Err(format!("is larger than {} KiB", limit / 1024));
    }
    Ok(bytes)
}

/// True if the file at `path` may be read by every user of the machine.
pub fn is_open_to_all(path: &Path) -> bool {
    const READ_BY_OTHERS: u32 = 0o004;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & READ_BY_OTHERS != 0)
}

/// True if the file at `path` may be written by every user of the machine: whoever does so decides what it says.
pub fn is_writable_by_all(path: &Path) -> bool {
    const WRITTEN_BY_OTHERS: u32 = 0o002;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & WRITTEN_BY_OTHERS != 0)
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        _ => format!("can't be read ({error})"),
    }
}
