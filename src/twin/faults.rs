//! Faults on the way to the twin: drawn at random from a seed, or placed exactly at the n-th request.
//!
//! A draw depends on the seed and the request's number only, so a run can be repeated to the byte.

#![allow(clippy::match_same_arms, reason = "the second meaning has a comment of its own")]

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    mix,
    wire::{Refusal, Service},
};

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before AWS sees the request: no effect.
    LostBefore,
    /// AWS does it and the answer is lost.
    LostAfter,
    /// AWS answers 500 and does nothing.
    ServerError,
    /// AWS does it and answers 500 all the same.
    ServerErrorAfter,
    /// AWS answers 503 and does nothing.
    Unavailable,
    /// AWS refuses for its request rate.
    Throttled,
}

/// Which requests are meant and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// Every request.
    #[default]
    All,
    /// Mutating ones.
    Mutations,
    /// Reads.
    Reads,
}

impl Which {
    fn includes(self, mutating: bool) -> bool {
        match self {
            Self::All => true,
            Self::Mutations => mutating,
            Self::Reads => !mutating,
        }
    }
}

/// Before or after the effect of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request has no effect.
    Before,
    /// The request has its effect; the answer does not arrive.
    After,
}

/// The caller's end: this request and every later one fails at the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// What is counted.
    pub which: Which,
    /// The request's number among those, from 0.
    pub index: u64,
    /// Whether the request still has its effect.
    pub moment: Moment,
}

/// A schedule of faults. The default has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// Seed of the draws.
    pub seed: u64,
    /// Probability of [`Fault::LostBefore`], 0–1. The probabilities are cut off at a sum of 1.
    pub lost_before: f64,
    /// Probability of [`Fault::LostAfter`].
    pub lost_after: f64,
    /// Probability of [`Fault::ServerError`].
    pub server_error: f64,
    /// Probability of [`Fault::Throttled`].
    pub throttled: f64,
    /// Which requests the probabilities are for.
    pub which: Which,
    /// No draws at and after this moment.
    pub until: Option<Timestamp>,
    /// Faults at given numbers, from 0, over all requests. They come before the draws.
    pub placed: BTreeMap<u64, Fault>,
    /// Faults at given numbers, from 0, over mutating requests.
    pub placed_mutations: BTreeMap<u64, Fault>,
    /// The end.
    pub crash: Option<Crash>,
}

/// Numbers of a request: among all, among its kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub index: u64,
    pub among_kind: u64,
    pub mutating: bool,
}

/// What is to happen to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Served,
    Faulty(Fault),
    /// This request is the caller's last.
    Crash(Moment),
}

impl Faults {
    /// A crash at the n-th request of a kind.
    pub fn crash_at(which: Which, index: u64, moment: Moment) -> Self {
        Self { crash: Some(Crash { which, index, moment }), ..Self::default() }
    }

    pub(super) fn fate(&self, now: Timestamp, position: Position) -> Fate {
        let Position { index, among_kind, mutating } = position;
        if let Some(crash) = self.crash.filter(|crash| crash.which.includes(mutating)) {
            let number = if crash.which == Which::All { index } else { among_kind };
            if number >= crash.index {
                return Fate::Crash(crash.moment);
            }
        }
        let placed = self.placed_mutations.get(&among_kind).filter(|_| mutating);
        if let Some(fault) = self.placed.get(&index).or(placed) {
            return Fate::Faulty(*fault);
        }
        if !self.which.includes(mutating) || self.until.is_some_and(|until| now >= until) {
            return Fate::Served;
        }
        // 53 random bits make a fraction in [0, 1).
        let mut draw = (mix(self.seed, index) >> 11) as f64 / (1_u64 << 53) as f64;
        let chances = [
            (self.lost_before, Fault::LostBefore),
            (self.lost_after, Fault::LostAfter),
            (self.server_error, Fault::ServerError),
            (self.throttled, Fault::Throttled),
        ];
        for (chance, fault) in chances {
            if draw < chance {
                return Fate::Faulty(fault);
            }
            draw -= chance;
        }
        Fate::Served
    }
}

/// The words in which each service says it.
pub(super) fn refusal(fault: Fault, service: Service) -> Refusal {
    match (fault, service) {
        (Fault::Throttled, Service::Lambda) => Refusal::new(429, "TooManyRequestsException", "Rate exceeded")
            .with("Reason", "CallerRateLimitExceeded".into()),
        (Fault::Throttled, Service::Sts) => Refusal::new(400, "Throttling", "Rate exceeded"),
        (Fault::Throttled, _) => Refusal::new(400, "ThrottlingException", "Rate exceeded"),
        (Fault::Unavailable, _) => Refusal::new(503, "ServiceUnavailable", "Service is unavailable"),
        (_, Service::Lambda) => {
            Refusal::new(500, "ServiceException", "An error occurred and the request cannot be processed.")
        }
        (_, Service::DynamoDb) => Refusal::new(500, "InternalServerError", "Internal server error"),
        (_, Service::CloudWatch) => Refusal::new(500, "InternalServiceFault", "Internal service fault"),
        _ => Refusal::new(500, "InternalFailure", "Internal failure"),
    }
}

/// Any documented error of a service as AWS sends it: the status of its class and a usual text.
pub(super) fn documented(code: &str, service: Service) -> Refusal {
    let status = match code {
        "ServiceUnavailable" => 503,
        "ServiceException"
        | "InternalServerError"
        | "InternalFailure"
        | "InternalFailureException"
        | "InternalServiceFault"
        | "InternalServiceException" => 500,
        "AccessDeniedException"
        | "ExpiredTokenException"
        | "InvalidSignatureException"
        | "UnrecognizedClientException"
            if service == Service::Lambda =>
        {
            403
        }
        "AccessDenied" | "ExpiredToken" if service == Service::Sts => 403,
        "ResourceNotFoundException" | "CodeSigningConfigNotFoundException" if service == Service::Lambda => 404,
        "ResourceConflictException" => 409,
        "PreconditionFailedException" => 412,
        "TooManyRequestsException" => 429,
        _ => 400,
    };
    let message = match code {
        "AccessDeniedException" | "AccessDenied" => "User is not authorized to perform this action",
        "ExpiredTokenException" | "ExpiredToken" => "The security token included in the request is expired",
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded" => "Rate exceeded",
        // The other meaning, an account limit that is used up, is told by a text of the world's.
        "LimitExceededException" => "Rate exceeded",
        "ServiceUnavailable" => "Service is unavailable",
        _ if status == 500 => "An internal error occurred and the request could not be processed.",
        _ => "The request was refused.",
    };
    let refusal = Refusal::new(status, code, message);
    if code == "TooManyRequestsException" { refusal.with("Reason", "CallerRateLimitExceeded".into()) } else { refusal }
}
