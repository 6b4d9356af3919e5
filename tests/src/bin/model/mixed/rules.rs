//! The rules of the protocol, one field each: a mutant turns one of them off.

#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    // Store-first, before the statement.
    /// No token is placed on an id whose entry is dirty.
    pub(super) begin_refuses_dirty: bool,
    /// No token is placed on a server that is not the journal's home.
    pub(super) begin_checks_home: bool,
    /// The script is given the committed position, and ends dirty entries at or below it itself.
    pub(super) begin_takes_position: bool,
    /// The data transaction compares the epoch with the one that the token was placed in.
    pub(super) store_fence: bool,
    /// … and requires that this epoch's recovery is complete.
    pub(super) store_needs_settled: bool,
    /// Mutant: a token expires while its statement can still commit.
    pub(super) token_expires_early: bool,
    /// The store may be written without a token, because Redis seems to be down …
    pub(super) blind_writes: bool,
    /// … but only while the partition has no offset row or a sealed one, checked in the data
    /// transaction.
    pub(super) blind_checks_row: bool,

    // Store-first, after the statement.
    /// A dirty entry is neither deleted nor replaced.
    pub(super) end_spares_dirty: bool,
    /// A token that is gone marks those that are there: their owners must not put.
    pub(super) end_marks_overlap: bool,
    /// A dirty entry is flagged, so that its acknowledgement drops it.
    pub(super) end_flags_dirty: bool,
    /// Puts only if the own token is still there.
    pub(super) put_needs_token: bool,
    /// Puts only if no other token overlapped the own one.
    pub(super) put_needs_sole: bool,
    /// Puts only in the generation in which the token was placed.
    pub(super) put_checks_generation: bool,

    // Write-behind.
    /// The script waits while a token is there.
    pub(super) write_waits_for_tokens: bool,
    pub(super) write_checks_home: bool,
    pub(super) write_deletes_lease: bool,

    // Workers.
    pub(super) worker_checks_home: bool,
    /// Redis and the offset row must have one epoch.
    pub(super) worker_checks_epoch: bool,
    /// The data transaction requires that the epoch's recovery is complete.
    pub(super) drain_needs_settled: bool,
    /// The acknowledgement looks at the version that was written.
    pub(super) acknowledgement_checks_version: bool,
    /// It does nothing on a server of another epoch than the batch's, or than the offset row's if
    /// it is repeated: versions there may be those of other writes.
    pub(super) acknowledgement_checks_epoch: bool,
    /// It moves the acknowledged position only if that had reached the batch's beginning.
    pub(super) acknowledgement_in_order: bool,
    /// Who finds the acknowledged position behind the committed one repeats the acknowledgement.
    pub(super) acknowledgement_repeated: bool,

    // Recovery.
    pub(super) recovery_bumps_epoch: bool,
    /// A ticket put into Redis before the store's step must still be there after it.
    pub(super) recovery_has_ticket: bool,
    /// A journal that is older than the last complete recovery is discarded.
    pub(super) recovery_discards_old: bool,
    /// … also when the server is the journal's home already.
    pub(super) recovery_discards_old_at_home: bool,
    /// The epoch is settled in a step of its own, after the repair of Redis.
    pub(super) recovery_settles_last: bool,
    /// A home that the store does not name is an old master, and refused, unless the client has
    /// just looked for the master and was led to it.
    pub(super) recovery_trusts_discovery: bool,
    /// Clean entries of an older generation are misses.
    pub(super) recovery_drops_clean: bool,
    pub(super) fill_checks_generation: bool,
    /// The generation is the store's epoch, never issued twice; otherwise Redis counts it.
    pub(super) generation_is_epoch: bool,

    // Sealing.
    /// Redis is sealed before the store; otherwise the script only looks at the journal.
    pub(super) seal_begins_in_redis: bool,
    /// The store is sealed only in the epoch in which Redis was.
    pub(super) seal_compares_epoch: bool,
    /// The script that seals requires that everything is drained.
    pub(super) seal_needs_empty_journal: bool,
    /// The store is opened before Redis; otherwise the ticket opens Redis.
    pub(super) opening_begins_in_store: bool,
}

/// What the protocol says.
pub(super) const RULES: Rules = Rules {
    begin_refuses_dirty: true,
    begin_checks_home: true,
    begin_takes_position: false,
    store_fence: true,
    store_needs_settled: true,
    token_expires_early: false,
    blind_writes: false,
    blind_checks_row: true,
    end_spares_dirty: true,
    end_marks_overlap: true,
    end_flags_dirty: true,
    put_needs_token: true,
    put_needs_sole: true,
    put_checks_generation: true,
    write_waits_for_tokens: true,
    write_checks_home: true,
    write_deletes_lease: true,
    worker_checks_home: true,
    worker_checks_epoch: true,
    drain_needs_settled: true,
    acknowledgement_checks_version: true,
    acknowledgement_checks_epoch: true,
    acknowledgement_in_order: true,
    acknowledgement_repeated: true,
    recovery_bumps_epoch: true,
    recovery_has_ticket: true,
    recovery_discards_old: true,
    recovery_discards_old_at_home: true,
    recovery_settles_last: true,
    recovery_trusts_discovery: true,
    recovery_drops_clean: true,
    fill_checks_generation: true,
    generation_is_epoch: true,
    seal_begins_in_redis: true,
    seal_compares_epoch: true,
    seal_needs_empty_journal: true,
    opening_begins_in_store: true,
};
