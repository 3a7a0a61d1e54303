//! What a job promises about records when it is killed: when sources acknowledge, and how often
//! the effects of sinks happen.

/// When a source that delivers again what was not acknowledged acknowledges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ack {
    /// When it is in the journal, payload and all.
    #[default]
    Journal,
    /// When a checkpoint covers it, which may lie farther away than the journal.
    Checkpoint,
    /// When it is received: what is under way when the job is killed is lost.
    Receive,
}

impl Ack {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Journal, Self::Checkpoint, Self::Receive];

    /// The word in job files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Checkpoint => "checkpoint",
            Self::Receive => "receive",
        }
    }
}
