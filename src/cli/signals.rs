//! SIGINT and SIGTERM while something is under way: the first asks it to stop after the call in flight,
//! the second drops it. Before this room is entered (at a prompt, while reading) a signal simply ends
//! the process, because nothing has been changed yet.

use std::future::{Future, pending};

use tokio::{
    signal::unix::{Signal as Listener, SignalKind, signal},
    sync::watch,
};

use super::{console::Console, exit::Exit};

/// Which signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A supervisor.
    Terminate,
}

impl Signal {
    /// The exit code of a command that a signal stopped.
    pub fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }
}

/// How stoppable work ended.
#[derive(Debug)]
pub enum End<T> {
    /// It returned; a signal may have asked it to.
    Finished(T, Option<Signal>),
    /// A second signal dropped it.
    Aborted(Signal),
}

struct Signals {
    interrupt: Option<Listener>,
    terminate: Option<Listener>,
}

impl Signals {
    fn listen() -> Self {
        Self { interrupt: signal(SignalKind::interrupt()).ok(), terminate: signal(SignalKind::terminate()).ok() }
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            () = received(self.interrupt.as_mut()) => Signal::Interrupt,
            () = received(self.terminate.as_mut()) => Signal::Terminate,
        }
    }
}

async fn received(listener: Option<&mut Listener>) {
    let Some(listener) = listener else { return pending().await };
    if listener.recv().await.is_none() {
        // The stream of signals is over: none ever comes.
        pending::<()>().await;
    }
}

/// Runs `work` with a flag that turns true on the first signal.
pub async fn stoppable<T, F>(console: &Console, work: impl FnOnce(watch::Receiver<bool>) -> F) -> End<T>
where
    F: Future<Output = T>,
{
    let (stop, flag) = watch::channel(false);
    let mut signals = Signals::listen();
    let mut work = std::pin::pin!(work(flag));
    let first = tokio::select! {
        biased;
        signal = signals.next() => signal,
        value = &mut work => return End::Finished(value, None),
    };
    console.note("stopping after the call in flight; once more to abort");
    let _ = stop.send(true);
    tokio::select! {
        biased;
        value = &mut work => End::Finished(value, Some(first)),
        second = signals.next() => End::Aborted(second),
    }
}
