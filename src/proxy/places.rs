//! How many connections may be open, in all and for each client. A place is taken before the handshake, which is what
//! costs, and is free again when the connection's stream is dropped.

use super::handshakes::{Begun, Handshakes};
use crate::limit::ClientNetwork;
use pingora::upstreams::peer::{Tracer, Tracing};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The places there are.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_per_client: usize,
    taken: Mutex<Taken>,
    /// What those who got a place are about to do.
    pub(super) handshakes: Arc<Handshakes>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    clients: HashMap<ClientNetwork, usize>,
}

/// One taken place.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    client: Option<ClientNetwork>,
}

impl Places {
    pub(super) fn new(most: usize, most_per_client: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_client, taken: Mutex::default(), handshakes: Arc::default() })
    }

    /// A place for a connection of `client`, if one is free; `None` for `client` where it is a proxy, behind which
    /// there may be anybody.
    pub(super) fn take(self: &Arc<Self>, client: Option<IpAddr>) -> Option<Place> {
        let client = client.map(ClientNetwork::from);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = client.and_then(|client| taken.clients.get(&client)).copied().unwrap_or(0);
        if taken.all >= self.most || own >= self.most_per_client {
            return None;
        }
        taken.all += 1;
        if let Some(client) = client {
            taken.clients.insert(client, own + 1);
        }
        Some(Place { places: Arc::clone(self), client })
    }
}

impl Places {
    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Place {
    /// The place in the form in which a stream carries it to its end, with the handshake on that stream.
    pub(super) fn into_tracer(self, handshake: Option<Begun>) -> Tracer {
        Tracer(Box::new(Held { _place: Arc::new(self), handshake: handshake.map(Arc::new) }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(client) = self.client else { return };
        if let Some(own) = taken.clients.get_mut(&client) {
            *own -= 1;
            if *own == 0 {
                taken.clients.remove(&client);
            }
        }
    }
}

/// What a stream holds. The place is free when the last of them is dropped.
#[derive(Clone, Debug)]
struct Held {
    _place: Arc<Place>,
    handshake: Option<Arc<Begun>>,
}

impl Tracing for Held {
    fn on_connected(&self) {}

    fn on_disconnected(&self) {
        if let Some(handshake) = &self.handshake {
            handshake.over();
        }
    }

    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_one_client_nor_all_of_them_get_more_than_there_is() {
        let places = Places::new(3, 2);
        let take = |client: &str| places.take(Some(client.parse().unwrap()));
        let (first, second) = (take("192.0.2.1"), take("192.0.2.1"));
        assert!(first.is_some() && second.is_some() && take("192.0.2.1").is_none());
        let third = take("192.0.2.2").map(|place| place.into_tracer(None));
        assert!(third.is_some() && take("192.0.2.3").is_none() && places.take(None).is_none());
        drop(first);
        assert!(take("192.0.2.1").is_some());
        let clone = third.clone();
        drop((second, third));
        assert_eq!(places.taken.lock().unwrap().all, 1);
        drop(clone);
        assert!(places.taken.lock().unwrap().clients.is_empty());
    }

    #[test]
    fn proxies_of_ours_count_only_towards_the_whole() {
        let places = Places::new(3, 1);
        let held: Vec<_> = (0..3).filter_map(|_| places.take(None)).collect();
        assert_eq!((held.len(), places.take(None).is_none()), (3, true));
    }
}
