//! The real binary, killed wherever it can be, and started again: what it leaves is what a run that
//! nobody touched leaves.

#[cfg(test)]
mod kills;
#[cfg(test)]
mod points;
#[cfg(test)]
mod server;
#[cfg(test)]
mod world;
