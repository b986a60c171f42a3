//! The twin on a socket: HTTP/1.1, on the same handler as in process.
//!
//! What always holds: whatever clients send, the server takes at most [`SERVER_BYTES`] beside the twin's own state.
//! Connections, headers, bodies under way, answers not yet read and the time for each are bounded below.

mod guard;

use std::{collections::BTreeMap, convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

use super::{Host, MAX_BODY, Request, Response};
use guard::{Guarded, held};

/// Connections at once; further ones wait in the listener's queue.
const CONNECTIONS: usize = 128;
/// Bytes of a request's line and headers, and of hyper's buffers for a connection.
const HEAD: usize = 64 * 1024;
/// Headers of a request.
const HEADERS: usize = 100;
/// A body, or an answer, that every connection may hold without asking.
const SMALL: usize = 64 * 1024;
/// Bytes of all larger bodies under way together: two of the greatest.
const BODIES: usize = 2 * MAX_BODY;
/// Larger answers not yet read by their clients; the greatest has 14 MiB (GetRecords, 10 MB in base64).
const LARGE_ANSWERS: usize = 4;
/// Bytes of the server beside the twin's state: connections, bodies, one request decoded (four times the greatest
/// body), answers.
pub const SERVER_BYTES: usize = CONNECTIONS * (2 * HEAD + 2 * SMALL) + BODIES + (6 + LARGE_ANSWERS) * MAX_BODY;
/// A client's time for a request's head, and to begin the next one.
const HEAD_TIME: Duration = Duration::from_mins(1);
/// A client's time for a body.
const BODY_TIME: Duration = Duration::from_secs(30);
/// How long requests under way may take once the server is asked to stop.
const STOP_TIME: Duration = Duration::from_secs(2);

/// Where the health document is.
const HEALTH: &str = "/_alleycat/health";

struct Server {
    host: Host,
    /// In KiB.
    bodies: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

type Body = BoxBody<Bytes, Infallible>;
type Reply = http::Response<Body>;

/// Answers requests on `listener` until `stop` turns true, then ends those under way.
pub async fn serve(host: Host, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let server = Arc::new(Server {
        host,
        bodies: Arc::new(Semaphore::new(BODIES / 1024)),
        answers: Arc::new(Semaphore::new(LARGE_ANSWERS)),
    });
    let mut under_way = JoinSet::new();
    loop {
        while under_way.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        match accepted {
            Some((stream, permit)) => {
                let connection = connection(server.clone(), stream, permit, stop.clone());
                under_way.spawn(connection);
            }
            // Out of file descriptors, or the client is gone: neither is a reason to end.
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    drop(listener);
    let _ = timeout(STOP_TIME, async { while under_way.join_next().await.is_some() {} }).await;
}

/// Also when nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    let _ = stream.set_nodelay(true);
    Some((stream, permit))
}

async fn connection(
    server: Arc<Server>,
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let server = server.clone();
        async move { server.answer(request).await }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .auto_date_header(false);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(Guarded::new(stream)), service));
    tokio::select! {
        biased;
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
        // How a client's connection ends is the client's business.
        _ = connection.as_mut() => {}
    }
    drop(permit);
}

impl Server {
    /// # Errors
    /// When the connection is to break: a fault of the world, or a state that could not be written down.
    async fn answer(&self, request: http::Request<Incoming>) -> io::Result<Reply> {
        if request.uri().path() == HEALTH {
            return Ok(self.health());
        }
        let (head, body) = request.into_parts();
        let mut request = Request {
            method: head.method.as_str().to_owned(),
            path: head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            headers: headers(&head.headers),
            body: Vec::new(),
        };
        let declared = head.headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        // Without a declared length it may become the greatest.
        let length: usize = declared.unwrap_or(if hyper::body::Body::is_end_stream(&body) { 0 } else { MAX_BODY });
        if length > MAX_BODY {
            return self.reply(self.host.refuse_length(&request), None);
        }
        let held = self.hold(length).await?;
        match timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await {
            Ok(Ok(body)) => request.body = body.to_bytes().into(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return self.reply(self.host.refuse_length(&request), None);
            }
            Ok(Err(error)) => return Err(io::Error::other(error)),
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
        // Who reads large answers slowly holds up other large answers only.
        self.host.latency().await;
        let slot = self.answers.clone().acquire_owned().await.map_err(io::Error::other)?;
        let response = self.host.answer(&request).map_err(io::Error::other)?;
        drop((request, held));
        let slot = (response.body.len() > SMALL).then_some(slot);
        self.reply(response, slot)
    }

    /// Waits until a body of this length may be read.
    async fn hold(&self, length: usize) -> io::Result<Option<OwnedSemaphorePermit>> {
        if length <= SMALL {
            return Ok(None);
        }
        let kib = u32::try_from(length.div_ceil(1024)).map_err(io::Error::other)?;
        self.bodies.clone().acquire_many_owned(kib).await.map(Some).map_err(io::Error::other)
    }

    fn reply(&self, response: Response, slot: Option<OwnedSemaphorePermit>) -> io::Result<Reply> {
        let body = match response.subscription {
            None => held(response.body, slot).boxed(),
            Some(id) => StreamBody::new(self.host.events(response.body, id)).boxed(),
        };
        let mut reply = http::Response::builder().status(response.status);
        for (name, value) in &response.headers {
            reply = reply.header(name, value);
        }
        reply.body(body).map_err(io::Error::other)
    }

    fn health(&self) -> Reply {
        let (requests, mutations) = self.host.requests();
        let now = self.host.with(|twin| twin.now());
        let health = serde_json::json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "virtualTime": now.to_string(),
            "requests": requests,
            "mutations": mutations,
        });
        let mut reply = http::Response::new(Full::new(Bytes::from(health.to_string())).boxed());
        *reply.status_mut() = StatusCode::OK;
        reply.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        reply
    }
}

/// Names come in lower case; of several values the last counts.
fn headers(map: &HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    map.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
