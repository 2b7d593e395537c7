//! `include`: which files are meant, and the limits each of them may not leave.

use super::fault::Faults;
use super::files;
use super::gather::{Placed, Written};
use super::inputs::Inputs;
use super::schema::include::Included;
use super::schema::routes::Route;
use super::schema::value::List;
use super::site::Site;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The most files one configuration may include.
const MAX_FILES: usize = 1000;

/// The files that `include` of gateway.yaml names, each once and with the place that names it, those of one pattern in
/// the order of their names.
pub fn files(written: &Written, inputs: &mut Inputs, faults: &mut Faults) -> Vec<(PathBuf, Site)> {
    let site = written.root.key("include");
    let mut found: Vec<(PathBuf, Site)> = Vec::new();
    for (index, pattern) in written.gateway.include.iter().flat_map(List::iter) {
        let place = site.index(index);
        for file in expand(pattern.as_str(), &place, inputs, faults) {
            if !found.iter().any(|(known, _)| *known == file) {
                found.push((file, place.clone()));
            }
        }
    }
    if found.len() > MAX_FILES {
        faults.push(&site, format!("names more than {MAX_FILES} files"), "join some of them");
        found.truncate(MAX_FILES);
    }
    found
}

fn expand(pattern: &str, site: &Site, inputs: &mut Inputs, faults: &mut Faults) -> Vec<PathBuf> {
    let path = files::locate(pattern, site);
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(OsStr::to_str)) else {
        faults.push(site, "names no file", "write a path, such as `routes.d/*.yaml`");
        return Vec::new();
    };
    if directory.to_string_lossy().contains('*') {
        faults.push(site, "has a `*` before the file name", "write one pattern a directory, such as `routes.d/*.yaml`");
        return Vec::new();
    }
    if !name.contains('*') {
        return vec![path.clone()];
    }
    let found = matching(directory, name).unwrap_or_else(|_| {
        let problem = format!("names the directory {}, which can't be read", directory.display());
        faults.push(site, problem, "name a readable directory, relative to this file");
        Vec::new()
    });
    inputs.listed(directory, name, &found);
    found
}

/// The files in `directory` whose names fit `pattern`, in the order of their names; hidden ones are left out.
pub fn matching(directory: &Path, pattern: &str) -> std::io::Result<Vec<PathBuf>> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let mut names: Vec<String> = std::fs::read_dir(directory)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') && fits(name, pattern))
        .collect();
    names.sort();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

/// True if `name` is `pattern` with something, or nothing, for every `*`.
fn fits(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

/// Notes what in an included file acts on the routes of others. A header that is stripped is stripped on every route, and
/// an upstream that judges by a header may read its absence as consent.
pub fn keep_to_own(routes: &[Placed<Route>], faults: &mut Faults) {
    for route in routes {
        let site = route.site.key("identity").key("strip");
        if site.is_written() {
            let remedy = "write it in gateway.yaml: in `defaults.identity`, or at a route there";
            faults.push(&site, "acts on the routes of all files, which an included one may not", remedy);
        }
    }
}

/// Notes every route of an included file that leaves the host or the path prefix the file is limited to.
pub fn confine(included: &Included, routes: &[Placed<Route>], faults: &mut Faults) {
    for route in routes {
        let Some(rule) = &route.value.r#match else { continue };
        let site = route.site.key("match");
        if let Some(limit) = &included.host {
            let hosts: Vec<(usize, &str)> =
                rule.hosts.iter().flat_map(List::iter).map(|(index, host)| (index, host.as_str())).collect();
            if hosts.is_empty() {
                let problem = format!("takes every host, but this file is limited to `{limit}`");
                faults.push_missing(&site.key("hosts"), problem, format!("write `hosts: [\"{limit}\"]`"));
            }
            for (index, host) in hosts {
                if !host_within(host, limit.as_str()) {
                    let problem = format!("leaves `{limit}`, to which this file is limited by `host`");
                    faults.push(&site.key("hosts").index(index), problem, "write a host within it");
                }
            }
        }
        if let (Some(limit), Some(path)) = (&included.path_prefix, &rule.path)
            && !path_within(path.as_str(), limit.as_str())
        {
            let problem = format!("leaves `{limit}`, to which this file is limited by `path_prefix`");
            faults.push(&site.key("path"), problem, format!("write a path that begins with `{limit}/`"));
        }
    }
}

/// `*.example.com` holds `*.example.com` and the names one label below; any other limit holds only itself.
fn host_within(host: &str, limit: &str) -> bool {
    let (host, limit) = (host.to_ascii_lowercase(), limit.to_ascii_lowercase());
    let below = limit.strip_prefix("*.").zip(host.split_once('.')).is_some_and(|(zone, (_, parent))| zone == parent);
    host == limit || below
}

fn path_within(path: &str, limit: &str) -> bool {
    path.strip_prefix(limit).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_part_of_a_name() {
        for (name, pattern) in
            [("a.yaml", "*.yaml"), (".yaml", "*.yaml"), ("a-b.yaml", "a*b*"), ("a", "*"), ("ab", "*a*b*")]
        {
            assert!(fits(name, pattern), "{name} {pattern}");
        }
        for (name, pattern) in [("a.yml", "*.yaml"), ("b", "a*"), ("aXc", "a*b*"), ("ab", "ab*b")] {
            assert!(!fits(name, pattern), "{name} {pattern}");
        }
    }

    #[test]
    fn limits_hold_whole_labels_and_segments() {
        assert!(host_within("A.example.com", "*.example.com"));
        assert!(host_within("*.example.com", "*.Example.com"));
        assert!(!host_within("a.b.example.com", "*.example.com"));
        assert!(!host_within("aexample.com", "*.example.com"));
        assert!(!host_within("*.example.com", "a.example.com"));
        assert!(path_within("/orders", "/orders") && path_within("/orders/{id}", "/orders"));
        assert!(!path_within("/orders2", "/orders") && !path_within("/{x}", "/orders"));
    }
}
