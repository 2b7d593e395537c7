//! All files of one configuration: gateway.yaml and what it includes, read and checked against the schema.

use super::check;
use super::fault::Faults;
use super::include;
use super::inputs::Inputs;
use super::schema::value::List;
use super::schema::{Gateway, routes::Route, upstreams::Upstream};
use super::site::Site;
use super::source::{self, Document, MAX_BYTES};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Something as written, and where.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// Where it stands.
    pub site: Site,
    /// What is written there.
    pub value: T,
}

/// A whole configuration as written.
#[derive(Debug)]
pub struct Written {
    /// The root of gateway.yaml.
    pub root: Site,
    /// What gateway.yaml says; its `upstreams` and `routes` are in the lists below.
    pub gateway: Gateway,
    /// The upstreams of all files.
    pub upstreams: Vec<Placed<Upstream>>,
    /// The routes of all files.
    pub routes: Vec<Placed<Route>>,
    /// Every file read, for whoever watches them.
    pub files: Vec<PathBuf>,
    /// False if a file could not be read to its end: what is missing may stand behind that.
    pub complete: bool,
}

/// Reads gateway.yaml at `path` and all files it includes.
pub fn gather(path: &Path, inputs: &mut Inputs, faults: &mut Faults) -> Written {
    let document = open(path, 0, None, inputs, faults);
    let mut gateway = check::gateway(&document, faults);
    let root = Site::root(&document);
    let mut written = Written {
        upstreams: placed(gateway.upstreams.take(), &root.key("upstreams")),
        routes: placed(gateway.routes.take(), &root.key("routes")),
        files: vec![path.to_path_buf()],
        complete: document.is_complete(),
        gateway,
        root,
    };
    for (file, place) in include::files(&written, inputs, faults) {
        include_file(&file, &place, &mut written, inputs, faults);
    }
    written
}

/// Reads one file; an unreadable one is a fault at `named_at`, or in itself, and an empty document.
fn open(path: &Path, order: usize, named_at: Option<&Site>, inputs: &mut Inputs, faults: &mut Faults) -> Arc<Document> {
    match inputs.read(path, MAX_BYTES) {
        Ok(bytes) => source::read(path, order, &bytes, faults),
        Err(why) => {
            let document = source::unreadable(path, order);
            let site = named_at.cloned().unwrap_or_else(|| Site::root(&document));
            faults.push(&site, format!("the file {} {why}", path.display()), "name a readable configuration file");
            document
        }
    }
}

fn include_file(path: &Path, place: &Site, written: &mut Written, inputs: &mut Inputs, faults: &mut Faults) {
    let document = open(path, written.files.len(), Some(place), inputs, faults);
    written.files.push(path.to_path_buf());
    written.complete &= document.is_complete();
    let mut included = check::included(&document, faults);
    let root = Site::root(&document);
    let routes = placed(included.routes.take(), &root.key("routes"));
    include::keep_to_own(&routes, faults);
    include::confine(&included, &routes, faults);
    written.upstreams.extend(placed(included.upstreams.take(), &root.key("upstreams")));
    written.routes.extend(routes);
}

/// The items of a list with their places.
pub fn placed<T: Clone>(list: Option<List<T>>, site: &Site) -> Vec<Placed<T>> {
    let list = list.unwrap_or_default();
    list.iter().map(|(index, value)| Placed { site: site.index(index), value: value.clone() }).collect()
}
