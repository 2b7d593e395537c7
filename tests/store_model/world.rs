//! The world in small: one token, two replicas of the gateway, a primary, the replica that may take its place, and the
//! majority of replicas whose acknowledgement a claim may need: at any time they follow one of the two.

use super::rules::{Faults, Rules};

/// Something that happens, and to which gateway or server.
pub type Step = (&'static str, usize);

/// An epoch, against the moment in which the token was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Epoch {
    Before,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Record {
    epoch: Epoch,
    process: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Server {
    process: u8,
    primary: bool,
    claim: Option<u8>,
    record: Option<Record>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Request {
    Claim,
    Release { epoch: Epoch },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Fresh { record: Option<Record>, acked: bool },
    Replayed,
    Refused,
    Released,
}

/// What a replica of the gateway knows of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Known {
    Nothing,
    /// A claim is on its way; `late`: its request was refused meanwhile.
    Claiming {
        late: bool,
    },
    /// Ours, or what may be ours, that no request rests on.
    Owed {
        epoch: Epoch,
    },
    Returning,
    Spent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Connection {
    server: usize,
    process: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Gateway {
    connection: Option<Connection>,
    /// Sent, not carried out.
    requests: Vec<Request>,
    /// Carried out, not arrived.
    answers: Vec<Answer>,
    known: Known,
    presented: u8,
}

/// A request whose connection is gone, and that a server may yet carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Orphan {
    server: usize,
    owner: u8,
    release: Option<Epoch>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    rules: Rules,
    left: Faults,
    issued: bool,
    servers: [Server; 2],
    /// The server that the majority follows.
    followed: usize,
    gateways: [Gateway; 2],
    orphans: Vec<Orphan>,
    processes: u8,
    pub accepted: u8,
}

/// Steps from one world.
struct Steps<'a> {
    from: &'a World,
    all: Vec<(Step, World)>,
}

impl Steps<'_> {
    fn add(&mut self, what: &'static str, who: usize, change: impl FnOnce(&mut World)) {
        let mut next = self.from.clone();
        change(&mut next);
        self.all.push(((what, who), next));
    }
}

/// How often each replica is asked about the token.
const PRESENTED: u8 = 2;

impl World {
    pub fn new(rules: Rules, faults: Faults) -> Self {
        let record = Some(Record { epoch: Epoch::Before, process: 0 });
        let server = |process, primary| Server { process, primary, claim: None, record };
        let connection = Some(Connection { server: 0, process: 0 });
        let gateway = || Gateway { connection, requests: vec![], answers: vec![], known: Known::Nothing, presented: 0 };
        Self {
            rules,
            left: faults,
            issued: false,
            servers: [server(0, true), server(1, false)],
            followed: 0,
            gateways: [gateway(), gateway()],
            orphans: Vec::new(),
            processes: 2,
            accepted: 0,
        }
    }

    /// Everything that can happen next.
    pub fn steps(&self) -> Vec<(Step, Self)> {
        let mut steps = Steps { from: self, all: Vec::new() };
        if !self.issued {
            steps.add("the token is issued", 0, |next| next.issued = true);
        }
        for who in 0..2 {
            self.steps_of(who, &mut steps);
        }
        for server in (0..2).filter(|server| self.servers[*server].primary) {
            self.faults_of(server, &mut steps);
        }
        if self.servers[0].primary && !self.servers[1].primary {
            self.replication(&mut steps);
        }
        if self.servers[1].primary && self.followed == 0 {
            steps.add("is followed by the majority", 1, |next| next.followed = 1);
        }
        for place in 0..self.orphans.len() {
            steps.add("what a cut connection left is carried out", place, |next| {
                let orphan = next.orphans.remove(place);
                next.carry_out_orphan(orphan);
            });
            steps.add("what a cut connection left is lost", place, |next| _ = next.orphans.remove(place));
        }
        steps.all
    }

    fn steps_of(&self, who: usize, steps: &mut Steps<'_>) {
        let gateway = &self.gateways[who];
        if gateway.known == (Known::Claiming { late: false }) {
            steps.add("refuses the request that waits", who, |next| {
                next.gateways[who].known = Known::Claiming { late: true };
            });
        }
        if gateway.connection.is_none() {
            for server in (0..2).filter(|server| self.servers[*server].primary) {
                steps.add(["connects to the first", "connects to the second"][server], who, |next| {
                    next.connect(who, server);
                });
            }
            return;
        }
        let free = gateway.known == Known::Nothing || (!self.rules.remembers_own && gateway.known == Known::Spent);
        if self.issued && free && gateway.presented < PRESENTED {
            steps.add("is presented the token", who, |next| next.present(who));
        }
        if let Known::Owed { epoch } = gateway.known {
            steps.add("releases", who, |next| next.send_release(who, epoch));
        }
        if !gateway.requests.is_empty() {
            steps.add("its request is carried out", who, |next| next.carry_out(who, false));
            steps.add("its request is carried out, and by the majority", who, |next| next.carry_out(who, true));
        }
        if !gateway.answers.is_empty() {
            steps.add("an answer arrives and is used", who, |next| next.arrive(who, true));
            steps.add("an answer arrives and is not used", who, |next| next.arrive(who, false));
        }
        if self.left.cuts > 0 {
            steps.add("is cut off", who, |next| next.cut(who));
        }
    }

    fn faults_of(&self, server: usize, steps: &mut Steps<'_>) {
        if self.left.flushes > 0 {
            steps.add("is emptied", server, |next| {
                next.left.flushes -= 1;
                (next.servers[server].claim, next.servers[server].record) = (None, None);
            });
        }
        if self.left.restarts > 0 {
            steps.add("restarts with its data", server, |next| next.restart(server, true));
            steps.add("restarts without its data", server, |next| next.restart(server, false));
        }
    }

    fn replication(&self, steps: &mut Steps<'_>) {
        steps.add("catches up", 1, |next| {
            (next.servers[1].claim, next.servers[1].record) = (next.servers[0].claim, next.servers[0].record);
        });
        if self.left.failovers == 0 {
            return;
        }
        steps.add("is promoted, and the old primary is none any more", 1, |next| {
            next.left.failovers -= 1;
            next.servers[1].primary = true;
            next.servers[0].primary = false;
            next.lose_connections(0);
        });
        if self.left.two_primaries {
            steps.add("is promoted, and the old primary goes on", 1, |next| {
                next.left.failovers -= 1;
                next.servers[1].primary = true;
            });
        }
    }

    /// What an epoch that moves now is, to the token.
    fn now(&self) -> Epoch {
        if self.issued { Epoch::After } else { Epoch::Before }
    }

    fn present(&mut self, who: usize) {
        let gateway = &mut self.gateways[who];
        gateway.presented += 1;
        gateway.known = Known::Claiming { late: false };
        gateway.requests.push(Request::Claim);
    }

    fn send_release(&mut self, who: usize, epoch: Epoch) {
        self.gateways[who].known = Known::Returning;
        self.gateways[who].requests.push(Request::Release { epoch });
    }

    /// Connects, and settles the epoch.
    fn connect(&mut self, who: usize, server: usize) {
        let process = self.servers[server].process;
        self.gateways[who].connection = Some(Connection { server, process });
        self.settle(server);
    }

    /// Writes the record anew where it does not speak of this server. `false`: it may not.
    fn settle(&mut self, server: usize) -> bool {
        if self.rules.acks && self.rules.settles_when_followed && self.followed != server {
            return false;
        }
        let (now, names) = (self.now(), self.rules.record_names_process);
        let server = &mut self.servers[server];
        let of_this = |record: Record| !names || record.process == server.process;
        if !server.record.is_some_and(of_this) {
            server.record = Some(Record { epoch: now, process: server.process });
        }
        true
    }

    fn carry_out(&mut self, who: usize, acked: bool) {
        let Some(Connection { server, .. }) = self.gateways[who].connection else { return };
        let request = self.gateways[who].requests.remove(0);
        let answer = match request {
            Request::Claim => self.claim(server, owner(who), acked),
            Request::Release { epoch } => {
                self.release(server, owner(who), epoch);
                Answer::Released
            }
        };
        self.gateways[who].answers.push(answer);
    }

    fn claim(&mut self, server: usize, owner: u8, acked: bool) -> Answer {
        if !self.servers[server].primary {
            return Answer::Refused;
        }
        if self.servers[server].claim.is_some() {
            return Answer::Replayed;
        }
        self.servers[server].claim = Some(owner);
        // The replica that may be promoted need not be one of the majority.
        let acked = acked && server == self.followed;
        Answer::Fresh { record: self.servers[server].record, acked }
    }

    fn release(&mut self, server: usize, owner: u8, epoch: Epoch) {
        let asks = self.rules.release_asks_owner;
        let server = &mut self.servers[server];
        let ours = server.claim.is_some_and(|claim| !asks || claim == owner);
        if server.primary && ours && server.record.is_some_and(|record| record.epoch <= epoch) {
            server.claim = None;
        }
    }

    fn arrive(&mut self, who: usize, used: bool) {
        let answer = self.gateways[who].answers.remove(0);
        let Some(connection) = self.gateways[who].connection else { return };
        let late = self.gateways[who].known == (Known::Claiming { late: true });
        self.gateways[who].known = match answer {
            Answer::Released | Answer::Refused | Answer::Replayed => Known::Nothing,
            Answer::Fresh { record, acked } => {
                let beside = self.epoch_beside(connection, record);
                let counts = beside.is_some() && (acked || !self.rules.acks);
                let epoch = beside.unwrap_or(Epoch::Before);
                if late || !counts || (epoch == Epoch::Before && !used) {
                    // Its request was refused, or came to nothing: no request rests on it.
                    Known::Owed { epoch }
                } else {
                    self.accepted += u8::from(epoch == Epoch::Before);
                    Known::Spent
                }
            }
        };
    }

    fn epoch_beside(&mut self, connection: Connection, record: Option<Record>) -> Option<Epoch> {
        let names = self.rules.record_names_process;
        match record {
            Some(record) if !names || record.process == connection.process => Some(record.epoch),
            None if !self.rules.record_beside_claim => Some(Epoch::Before),
            _ => self.settle(connection.server).then(|| self.now()),
        }
    }

    fn cut(&mut self, who: usize) {
        self.left.cuts -= 1;
        self.lose_connection(who);
    }

    fn lose_connections(&mut self, server: usize) {
        for who in 0..2 {
            if self.gateways[who].connection.is_some_and(|connection| connection.server == server) {
                self.lose_connection(who);
            }
        }
    }

    /// What was sent may still be carried out; what was answered is lost.
    fn lose_connection(&mut self, who: usize) {
        let (rules, gateway) = (self.rules, &mut self.gateways[who]);
        let Some(connection) = gateway.connection.take() else { return };
        for request in gateway.requests.drain(..) {
            let release = if let Request::Release { epoch } = request { Some(epoch) } else { None };
            self.orphans.push(Orphan { server: connection.server, owner: owner(who), release });
        }
        self.orphans.sort_unstable();
        gateway.answers.clear();
        gateway.known = match gateway.known {
            Known::Claiming { .. } if rules.resends => Known::Nothing,
            Known::Returning if rules.releases_once => Known::Spent,
            Known::Claiming { .. } | Known::Returning => Known::Owed { epoch: Epoch::Before },
            known => known,
        };
    }

    fn carry_out_orphan(&mut self, orphan: Orphan) {
        match orphan.release {
            Some(epoch) => self.release(orphan.server, orphan.owner, epoch),
            None => {
                self.claim(orphan.server, orphan.owner, false);
            }
        }
    }

    fn restart(&mut self, server: usize, keeps: bool) {
        self.left.restarts -= 1;
        self.lose_connections(server);
        self.orphans.retain(|orphan| orphan.server != server);
        self.servers[server].process = self.processes;
        self.processes += 1;
        if !keeps {
            (self.servers[server].claim, self.servers[server].record) = (None, None);
        }
    }
}

/// The tag of a replica's claims.
fn owner(who: usize) -> u8 {
    u8::from(who == 1)
}
