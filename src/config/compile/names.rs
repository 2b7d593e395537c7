//! Names: each once in its list, and found by those that refer to it.

use crate::config::fault::Faults;
use crate::config::gather::{Placed, Written, placed};
use crate::config::schema::issuers::Issuer;
use crate::config::schema::listeners::Listener;
use crate::config::schema::value::Name;
use crate::config::site::Site;

/// The lists that others refer to, in the order that gives their items their numbers.
pub struct Names {
    pub listeners: Vec<Placed<Listener>>,
    pub issuers: Vec<Placed<Issuer>>,
    upstreams: Vec<Option<Name>>,
}

impl Names {
    /// Collects the names of `written`, noting those that occur twice in one list.
    pub fn collect(written: &Written, faults: &mut Faults) -> Self {
        let gateway = &written.gateway;
        let listeners = placed(gateway.listeners.clone(), &written.root.key("listeners"));
        let issuers = placed(gateway.issuers.clone(), &written.root.key("issuers"));
        once(listeners.iter().map(|item| (&item.site, item.value.name.as_ref())), faults);
        once(issuers.iter().map(|item| (&item.site, item.value.name.as_ref())), faults);
        once(written.upstreams.iter().map(|item| (&item.site, item.value.name.as_ref())), faults);
        once(written.routes.iter().map(|item| (&item.site, item.value.name.as_ref())), faults);
        number(issuers.len(), &written.root.key("issuers"), faults);
        number(written.upstreams.len(), &written.root.key("upstreams"), faults);
        let upstreams = written.upstreams.iter().map(|item| item.value.name.clone()).collect();
        Self { listeners, issuers, upstreams }
    }

    /// The position of the issuer `name`; a fault at `site` if there is none.
    pub fn issuer(&self, name: &Name, site: &Site, faults: &mut Faults) -> Option<usize> {
        let names: Vec<Option<&Name>> = self.issuers.iter().map(|item| item.value.name.as_ref()).collect();
        find(name, &names, "issuer", site, faults)
    }

    /// The position of the upstream `name`; a fault at `site` if there is none.
    pub fn upstream(&self, name: &Name, site: &Site, faults: &mut Faults) -> Option<usize> {
        let names: Vec<Option<&Name>> = self.upstreams.iter().map(Option::as_ref).collect();
        find(name, &names, "upstream", site, faults)
    }

    /// The position of the listener `name`; a fault at `site` if there is none.
    pub fn listener(&self, name: &Name, site: &Site, faults: &mut Faults) -> Option<usize> {
        let names: Vec<Option<&Name>> = self.listeners.iter().map(|item| item.value.name.as_ref()).collect();
        find(name, &names, "listener", site, faults)
    }
}

/// Issuers and upstreams are numbered in 16 bits.
fn number(count: usize, site: &Site, faults: &mut Faults) {
    if count > usize::from(u16::MAX) {
        faults.push(site, "are more than 65535", "split the gateway in two");
    }
}

fn once<'n>(items: impl Iterator<Item = (&'n Site, Option<&'n Name>)>, faults: &mut Faults) {
    let mut seen = std::collections::HashMap::new();
    for (site, name) in items {
        let Some(name) = name else { continue };
        match seen.get(name) {
            None => {
                seen.insert(name, site);
            }
            Some(first) => {
                let problem = format!("is the name of another item, {} line {}", first.document().name(), first.line());
                faults.push(&site.key("name"), problem, "give one of the two another name");
            }
        }
    }
}

fn find(name: &Name, names: &[Option<&Name>], kind: &str, site: &Site, faults: &mut Faults) -> Option<usize> {
    let found = names.iter().position(|known| *known == Some(name));
    // An item whose own name is faulty may well be the one that is meant.
    if found.is_none() && names.iter().all(Option::is_some) {
        let known: Vec<&str> = names.iter().filter_map(|name| name.map(Name::as_str)).collect();
        let remedy = match known.as_slice() {
            [] => format!("add that {kind}"),
            _ => format!("write one of `{}`, or add that {kind}", known.join("`, `")),
        };
        faults.push(site, format!("names {kind} `{name}`, which does not exist"), remedy);
    }
    found
}
