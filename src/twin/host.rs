//! `Host`: the twin behind the SDK's HTTP client, in process and without sockets.
//!
//! Every request waits the world's API latency on the clock, then takes effect and is answered at one moment.
//! Clones share one twin. With a hook, the state is handed out after each mutating request and before its
//! answer, so that a kill at any point leaves a true state.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use jiff::{SignedDuration, Timestamp};

use super::{
    Effect, Request, Response, Twin,
    faults::{Fate, Fault, Faults, Moment, Position, refusal},
    wire,
};
use crate::aws::Clock;

type Hook = Box<dyn FnMut(&Twin, Effect) -> Result<(), String> + Send>;

/// A twin that the SDK can talk to.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Mutex<Inner>>,
    clock: Clock,
    latency: SignedDuration,
}

struct Inner {
    twin: Twin,
    faults: Faults,
    hook: Option<Hook>,
    requests: u64,
    mutations: u64,
    crashed: bool,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Host {
    /// Serves `twin` on `clock`. The clock should not be behind the twin's own time: requests before it are
    /// answered at the twin's time.
    pub fn new(twin: Twin, clock: Clock) -> Self {
        let latency = SignedDuration::from_millis(twin.world().timings.api_latency_ms.into());
        let inner = Inner { twin, faults: Faults::default(), hook: None, requests: 0, mutations: 0, crashed: false };
        Self { inner: Arc::new(Mutex::new(inner)), clock, latency }
    }

    /// Replaces the schedule of faults; requests are counted from 0 again and a crash is forgotten.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        self.set_faults(faults);
        self
    }

    /// As [`Self::with_faults`], while others hold the host.
    pub fn set_faults(&self, faults: Faults) {
        let mut inner = self.lock();
        (inner.faults, inner.requests, inner.mutations, inner.crashed) = (faults, 0, 0, false);
    }

    /// Calls `hook` with the twin and what was changed after each mutating request, before it is answered. When the
    /// hook fails, the caller gets no answer (a broken connection).
    #[must_use]
    pub fn on_mutation(self, hook: impl FnMut(&Twin, Effect) -> Result<(), String> + Send + 'static) -> Self {
        self.lock().hook = Some(Box::new(hook));
        self
    }

    /// The HTTP client for the SDK's configuration.
    pub fn http_client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_settings, _components| connector.clone())
    }

    /// Looks at the twin, or acts on it, at the clock's present time.
    pub fn with<R>(&self, act: impl FnOnce(&mut Twin) -> R) -> R {
        let mut inner = self.lock();
        inner.twin.advance(self.clock.now());
        act(&mut inner.twin)
    }

    /// Requests so far, faulty ones included: (all, mutating).
    pub fn requests(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.requests, inner.mutations)
    }

    /// Whether a scheduled crash has happened.
    pub fn crashed(&self) -> bool {
        self.lock().crashed
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request as the wire would, after the latency; for the SDK and for a server on a socket.
    ///
    /// # Errors
    /// When the connection breaks: a fault, a crash, or a hook that failed.
    pub async fn serve(&self, request: &Request) -> Result<Response, String> {
        self.latency().await;
        self.answer(request)
    }

    /// Waits as long as AWS takes for an answer.
    pub async fn latency(&self) {
        if !self.latency.is_zero() {
            self.clock.sleep(self.latency).await;
        }
    }

    /// As [`Self::serve`], at once.
    pub fn answer(&self, request: &Request) -> Result<Response, String> {
        self.lock().serve(&self.clock, request)
    }

    /// The answer to a request whose body is longer than [`super::MAX_BODY`]; `request` has none.
    pub fn refuse_length(&self, request: &Request) -> Response {
        self.with(|twin| twin.refuse_length(request))
    }

    /// The body of a subscription's answer: `first`, then its events as they happen, until it ends. Nobody reads:
    /// nothing is made.
    pub fn events(&self, first: Vec<u8>, subscription: u64) -> impl Stream<Item = Piece> + Send + Sync + use<> {
        let host = self.clone();
        let start = Some(Next::First(first.into()));
        stream::unfold(start, move |next| {
            let host = host.clone();
            async move {
                let (piece, next) = host.next_events(next?, subscription).await?;
                Some((Ok(Frame::data(piece)), next))
            }
        })
    }

    async fn next_events(&self, next: Next, subscription: u64) -> Option<(Bytes, Option<Next>)> {
        let mut at = match next {
            Next::First(piece) => return Some((piece, Some(Next::At(self.clock.now())))),
            Next::At(moment) => moment,
        };
        loop {
            self.clock.sleep(at.duration_since(self.clock.now())).await;
            let (events, next) = self.with(|twin| {
                let now = twin.now();
                let subscription = twin.subscription_events(now, subscription);
                let soonest = now.saturating_add(EVENTS_APART).unwrap_or(now);
                (subscription.events, subscription.next_poll.map(|next| next.max(soonest)))
            });
            if !events.is_empty() {
                let piece: Vec<u8> = events.iter().flat_map(wire::subscribe_to_shard_event).collect();
                return Some((piece.into(), next.map(Next::At)));
            }
            at = next?;
        }
    }
}

/// A piece of an answer's body.
pub type Piece = Result<Frame<Bytes>, Infallible>;

/// A subscription is not asked more often than this, whatever it says.
const EVENTS_APART: SignedDuration = SignedDuration::from_millis(1);

/// What comes next in a subscription's body.
enum Next {
    First(Bytes),
    At(Timestamp),
}

impl Inner {
    fn serve(&mut self, clock: &Clock, request: &Request) -> Result<Response, String> {
        if self.crashed {
            return Err("the process has crashed".to_owned());
        }
        let kind = wire::effect(request);
        let mutating = kind != Effect::Read;
        let among_kind = if mutating { self.mutations } else { self.requests - self.mutations };
        let position = Position { index: self.requests, among_kind, mutating };
        self.requests += 1;
        self.mutations += u64::from(mutating);
        let now = clock.now();
        let fate = self.faults.fate(now, position);
        match fate {
            Fate::Served => self.effect(clock, request, kind),
            Fate::Crash(moment) => {
                self.crashed = true;
                if moment == Moment::After {
                    self.effect(clock, request, kind)?;
                }
                Err("the process has crashed".to_owned())
            }
            Fate::Faulty(Fault::LostBefore) => Err("connection reset before the request was sent".to_owned()),
            Fate::Faulty(Fault::LostAfter) => {
                self.effect(clock, request, kind)?;
                Err("connection reset while waiting for the answer".to_owned())
            }
            Fate::Faulty(fault) => {
                if fault == Fault::ServerErrorAfter {
                    self.effect(clock, request, kind)?;
                }
                self.twin.advance(now);
                Ok(self.twin.refuse(request, |service| refusal(fault, service)))
            }
        }
    }

    fn effect(&mut self, clock: &Clock, request: &Request, kind: Effect) -> Result<Response, String> {
        let response = self.twin.serve(clock.now(), request);
        if let Some(hook) = self.hook.as_mut().filter(|_| kind != Effect::Read) {
            hook(&self.twin, kind)?;
        }
        response
    }
}

impl HttpConnector for Host {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = self.clone();
        HttpConnectorFuture::new(async move {
            let request = from_sdk(&request)
                .ok_or_else(|| ConnectorError::user("the twin takes requests with a body in memory only".into()))?;
            let answer = host.serve(&request).await;
            let response = answer.map_err(|reason| ConnectorError::io(io::Error::other(reason).into()))?;
            to_sdk(&host, response)
        })
    }
}

fn from_sdk(request: &HttpRequest) -> Option<Request> {
    let headers = request.headers().iter();
    let headers: BTreeMap<String, String> =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Some(Request {
        method: request.method().to_owned(),
        path: path_and_query(request.uri()).to_owned(),
        headers,
        body: request.body().bytes()?.to_vec(),
    })
}

/// What follows the authority of a URI.
fn path_and_query(uri: &str) -> &str {
    let after = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    after.find('/').and_then(|slash| after.get(slash..)).unwrap_or("/")
}

fn to_sdk(host: &Host, response: Response) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(response.status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let body = match response.subscription {
        None => SdkBody::from(response.body),
        Some(id) => SdkBody::from_body_1_x(StreamBody::new(host.events(response.body, id))),
    };
    let mut answer = HttpResponse::new(status, body);
    for (name, value) in response.headers {
        answer.headers_mut().try_insert(name, value).map_err(|error| ConnectorError::other(error.into(), None))?;
    }
    Ok(answer)
}
