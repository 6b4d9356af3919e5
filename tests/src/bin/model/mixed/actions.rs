//! The atomic steps of the model, and who takes them.

use super::{Mixed, Recovery, State, StorePhase, Worker};

/// One atomic step; `server` is the one that a script runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Begin { writer: usize, server: usize },
    WriteBlindly { writer: usize },
    Commit { writer: usize },
    End { writer: usize, server: usize },
    CommitOfDead { writer: usize },
    StatementTimeout { writer: usize },
    ExpireToken { server: usize, id: usize, writer: usize },

    Write { writer: usize, server: usize },
    Read { worker: usize, records: usize, server: usize },
    Drain { worker: usize },
    Acknowledge { worker: usize, server: usize },
    AcknowledgeAgain { server: usize },

    Get { reader: usize, server: usize },
    Load { reader: usize },
    Fill { reader: usize, server: usize },

    TakeTicket { recoverer: usize, server: usize },
    ReadRow { recoverer: usize },
    BumpEpoch { recoverer: usize },
    Repair { recoverer: usize },
    Settle { recoverer: usize },

    SealRedis { server: usize },
    SealStore,

    StoreWriterDies { writer: usize },
    WorkerDies { worker: usize },
    RecovererDies { recoverer: usize },
    Evict { id: usize },
    Replicate,
    Failover { keeps_replica: bool },
    Flush,
}

impl Action {
    /// The server that a client talks to.
    pub(super) fn server(self) -> Option<usize> {
        match self {
            Self::Begin { server, .. }
            | Self::End { server, .. }
            | Self::Write { server, .. }
            | Self::Read { server, .. }
            | Self::Acknowledge { server, .. }
            | Self::AcknowledgeAgain { server }
            | Self::Get { server, .. }
            | Self::Fill { server, .. }
            | Self::TakeTicket { server, .. } => Some(server),
            _ => None,
        }
    }
}

impl Mixed {
    /// Takes a step; `None` if there is nothing to do.
    pub(super) fn act(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Begin { writer, server } => self.begin(state, writer, server)?,
            Action::WriteBlindly { writer } => self.write_blindly(state, writer)?,
            Action::Commit { writer } => self.commit(state, writer)?,
            Action::End { writer, server } => self.end(state, writer, server)?,
            Action::CommitOfDead { writer } => self.commit_of_dead(state, writer)?,
            Action::StatementTimeout { writer } => {
                state.store_writers[writer].phase = StorePhase::Dead;
            }
            Action::ExpireToken { server, id, writer } => {
                self.expire_token(state, server, id, writer);
            }
            Action::Write { writer, server } => self.write(state, writer, server)?,
            Action::Read { worker, records, server } => {
                self.read(state, worker, records, server)?;
            }
            Action::Drain { worker } => self.drain(state, worker)?,
            Action::Acknowledge { worker, server } => self.acknowledge(state, worker, server)?,
            Action::AcknowledgeAgain { server } => state.acknowledge_again(server),
            Action::Get { reader, server } => self.get(state, reader, server),
            Action::Load { reader } => self.load(state, reader)?,
            Action::Fill { reader, server } => self.fill(state, reader, server)?,
            Action::TakeTicket { recoverer, server } => {
                self.take_ticket(state, recoverer, server);
            }
            Action::ReadRow { recoverer } => self.read_row(state, recoverer)?,
            Action::BumpEpoch { recoverer } => self.bump_epoch(state, recoverer)?,
            Action::Repair { recoverer } => self.repair(state, recoverer)?,
            Action::Settle { recoverer } => state.settle(recoverer)?,
            Action::SealRedis { server } => self.seal_redis(state, server),
            Action::SealStore => self.seal_store(state)?,
            Action::StoreWriterDies { writer } => state.store_writer_dies(writer),
            Action::WorkerDies { worker } => {
                state.crashes += 1;
                state.workers[worker] = Worker::Idle;
            }
            Action::RecovererDies { recoverer } => {
                state.crashes += 1;
                state.recoveries[recoverer] = Recovery::Idle;
            }
            Action::Evict { id } => state.slot(state.current, id).entry = None,
            Action::Replicate => state.replica = Some(state.servers[state.current].clone()),
            Action::Failover { keeps_replica } => self.fail_over(state, keeps_replica),
            Action::Flush => self.flush(state),
        }
        Some(())
    }
}
