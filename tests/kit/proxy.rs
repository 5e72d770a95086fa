//! Proxy: stands before a broker's listener and does to its links what networks and coordinators do.
//!
//! It reads the frames that pass, so that a trap can stop a process between any two steps of a commit, without
//! a word in the process itself: each step is a request of its own. What is written in a frame it never
//! changes, but for an error code where it is told to.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use super::ground::SOON;

/// A request of the commit path, or of reading memory back, by its number in Kafka's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// How far a topic reaches.
    ListOffsets = 2,
    /// A member says that it is there.
    Heartbeat = 12,
    /// Before the first record to a partition.
    AddPartitions = 24,
    /// After the last record, before the offsets.
    AddOffsets = 25,
    /// The end of the transaction.
    EndTxn = 26,
}

/// What happens to the first request that is caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// It does not reach the broker before it is let go.
    HoldRequest,
    /// The broker has it, but its answer does not reach the client before it is let go.
    HoldAnswer,
    /// It never reaches the broker; a heartbeat, or an end of a transaction, is answered with this error.
    Refuse(i16),
    /// The broker carries it out, and the end of a transaction is answered with this error.
    Belie(i16),
}

/// How the links behave.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    /// Each frame waits so long.
    pub(crate) delay: Duration,
    /// Frames pass in pieces of so many bytes, with this pause between two.
    pub(crate) pieces: Option<(usize, Duration)>,
    /// Requests vanish.
    pub(crate) deaf: bool,
    /// Answers vanish.
    pub(crate) mute: bool,
    /// Nobody gets through: connections are closed as soon as they are made.
    pub(crate) shut: bool,
}

/// One proxy; it listens for as long as the process lives.
#[derive(Clone)]
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    weather: Weather,
    traps: Vec<Armed>,
    laid: u64,
    /// Both ends of every link, by its number.
    links: HashMap<u64, [TcpStream; 2]>,
    linked: u64,
}

struct Armed {
    number: u64,
    api: Api,
    /// Stands in the request: part of a client id or transactional id.
    who: Vec<u8>,
    does: Does,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Laid,
    /// Caught; an answer to be held is still on its way.
    Caught,
    Sprung,
    LetGo,
}

/// A trap; when it is dropped, what it holds is gone and its link is cut.
pub(crate) struct Trap {
    number: u64,
    what: String,
    shared: Arc<Shared>,
}

/// What is needed of a request's head.
struct Request<'f> {
    api: i16,
    correlation: [u8; 4],
    frame: &'f [u8],
}

/// Requests whose answers are dealt with, by correlation id.
type Awaited = Arc<Mutex<HashMap<[u8; 4], (u64, Does)>>>;

// === impl Proxy ===

impl Proxy {
    /// Listens on `port` and passes on to `to`, both of this machine.
    pub(crate) fn open(port: u16, to: u16) -> Self {
        let listener =
            TcpListener::bind(("127.0.0.1", port)).expect("the port the broker advertises is free");
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if !serving.state().weather.shut {
                    // A broker that is not there closes the link at once.
                    drop(serving.link(client, to));
                }
            }
        });
        Self { port, shared }
    }

    pub(crate) fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Catches the next such request of whom this stands in: part of a client id or a transactional id.
    pub(crate) fn trap(&self, api: Api, who: &str, does: Does) -> Trap {
        let mut state = self.shared.state();
        state.laid += 1;
        let number = state.laid;
        state.traps.push(Armed { number, api, who: who.as_bytes().to_vec(), does, stage: Stage::Laid });
        Trap { number, what: format!("{does:?} of {api:?} by {who}"), shared: Arc::clone(&self.shared) }
    }

    /// From now on the links behave like this.
    pub(crate) fn weather(&self, weather: Weather) {
        self.shared.state().weather = weather;
    }

    /// Cuts every link there is.
    pub(crate) fn cut(&self) {
        for [client, broker] in self.shared.state().links.values() {
            // Who closes first is not our business.
            drop((client.shutdown(Shutdown::Both), broker.shutdown(Shutdown::Both)));
        }
    }
}

// === impl Trap ===

impl Trap {
    /// Waits until something is caught.
    pub(crate) fn until_sprung(&self) {
        super::until(&self.what, SOON, || self.is_sprung());
    }

    pub(crate) fn is_sprung(&self) -> bool {
        let state = self.shared.state();
        state.traps.iter().any(|armed| armed.number == self.number && armed.stage == Stage::Sprung)
    }

    /// What is held goes on its way, however late.
    pub(crate) fn let_go(&self) {
        self.shared.stage(self.number, Stage::LetGo);
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.shared.state().traps.retain(|armed| armed.number != self.number);
        self.shared.changed.notify_all();
    }
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    fn stage(&self, number: u64, stage: Stage) {
        for armed in self.state().traps.iter_mut().filter(|armed| armed.number == number) {
            armed.stage = stage;
        }
        self.changed.notify_all();
    }

    /// The trap this request goes into.
    fn catch(&self, request: &Request<'_>) -> Option<(u64, Does)> {
        let mut state = self.state();
        let armed = state.traps.iter_mut().find(|armed| {
            let caught = armed.stage == Stage::Laid && armed.api as i16 == request.api;
            caught && request.frame.windows(armed.who.len()).any(|part| part == armed.who)
        })?;
        armed.stage = Stage::Caught;
        Some((armed.number, armed.does))
    }

    /// Waits with a frame; `false` when it is gone.
    fn hold(&self, number: u64) -> bool {
        self.stage(number, Stage::Sprung);
        let mut state = self.state();
        loop {
            match state.traps.iter().find(|armed| armed.number == number) {
                None => return false,
                Some(armed) if armed.stage == Stage::LetGo => return true,
                Some(_) => state = self.changed.wait(state).expect("nobody panics with it"),
            }
        }
    }

    /// Joins a client with the broker.
    fn link(self: &Arc<Self>, client: TcpStream, to: u16) -> io::Result<()> {
        let broker = TcpStream::connect(("127.0.0.1", to))?;
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        let number = {
            let mut state = self.state();
            state.linked += 1;
            let number = state.linked;
            state.links.insert(number, [client.try_clone()?, broker.try_clone()?]);
            number
        };
        let awaited = Awaited::default();
        let ends = [(client.try_clone()?, broker.try_clone()?), (broker, client)];
        for (place, (from, into)) in ends.into_iter().enumerate() {
            let (shared, awaited) = (Arc::clone(self), Arc::clone(&awaited));
            thread::spawn(move || {
                let passed = if place == 0 {
                    shared.requests(&from, &into, &awaited)
                } else {
                    shared.answers(&from, &into, &awaited)
                };
                // The other end learns of it when it is told.
                drop((passed, from.shutdown(Shutdown::Both), into.shutdown(Shutdown::Both)));
                shared.state().links.remove(&number);
            });
        }
        Ok(())
    }

    fn requests(&self, mut from: &TcpStream, mut into: &TcpStream, awaited: &Awaited) -> io::Result<()> {
        loop {
            let frame = read(&mut from)?;
            let request = Request::of(&frame);
            match self.catch(&request) {
                Some((number, Does::HoldRequest)) if !self.hold(number) => return Ok(()),
                Some((number, Does::Refuse(code))) => {
                    self.stage(number, Stage::Sprung);
                    from.write_all(&refusal(request.correlation, code))?;
                    continue;
                }
                Some((number, does @ (Does::HoldAnswer | Does::Belie(_)))) => {
                    awaited
                        .lock()
                        .expect("nobody panics with it")
                        .insert(request.correlation, (number, does));
                }
                Some((_, Does::HoldRequest)) | None => {}
            }
            if !self.state().weather.deaf {
                self.pass(&mut into, &frame)?;
            }
        }
    }

    fn answers(&self, mut from: &TcpStream, mut into: &TcpStream, awaited: &Awaited) -> io::Result<()> {
        loop {
            let mut frame = read(&mut from)?;
            let correlation: [u8; 4] = frame[4..8].try_into().expect("four bytes");
            let caught = awaited.lock().expect("nobody panics with it").remove(&correlation);
            match caught {
                Some((number, Does::HoldAnswer)) if !self.hold(number) => return Ok(()),
                Some((number, Does::Belie(code))) => {
                    frame[12..14].copy_from_slice(&code.to_be_bytes());
                    self.stage(number, Stage::Sprung);
                }
                _ => {}
            }
            if !self.state().weather.mute {
                self.pass(&mut into, &frame)?;
            }
        }
    }

    #[allow(clippy::disallowed_methods, reason = "a slow link is what is played here")]
    fn pass(&self, into: &mut &TcpStream, frame: &[u8]) -> io::Result<()> {
        let weather = self.state().weather;
        thread::sleep(weather.delay);
        let Some((size, pause)) = weather.pieces else { return into.write_all(frame) };
        for piece in frame.chunks(size) {
            into.write_all(piece)?;
            thread::sleep(pause);
        }
        Ok(())
    }
}

// === impl Request ===

impl<'f> Request<'f> {
    /// The head of a frame: its size, the request's number and version, the correlation id.
    fn of(frame: &'f [u8]) -> Self {
        let part =
            |at: usize| frame.get(at..at + 4).and_then(|part| part.try_into().ok()).unwrap_or_default();
        let [high, low, ..]: [u8; 4] = part(4);
        // Ids stand in the first part of a frame; records are not searched.
        Self {
            api: i16::from_be_bytes([high, low]),
            correlation: part(8),
            frame: &frame[..frame.len().min(400)],
        }
    }
}

/// A whole frame, its size first.
fn read(from: &mut &TcpStream) -> io::Result<Vec<u8>> {
    let mut size = [0; 4];
    from.read_exact(&mut size)?;
    let length = usize::try_from(u32::from_be_bytes(size)).unwrap_or_default();
    let mut frame = vec![0; 4 + length];
    frame[..4].copy_from_slice(&size);
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}

/// The answer to an end of a transaction, of its versions 0 and 1: no throttling, and an error.
fn refusal(correlation: [u8; 4], code: i16) -> Vec<u8> {
    let mut frame = 10_u32.to_be_bytes().to_vec();
    frame.extend(correlation);
    frame.extend([0; 4]);
    frame.extend(code.to_be_bytes());
    frame
}
