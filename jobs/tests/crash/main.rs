//! The real binary, killed wherever it can be, and started again: what it leaves is what a run that
//! nobody touched leaves.

#[cfg(test)]
mod change;
#[cfg(test)]
mod fencing;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod points;
#[cfg(test)]
mod recording;
#[cfg(test)]
mod s3;
#[cfg(test)]
mod server;
#[cfg(test)]
mod standby;
#[cfg(test)]
mod stops;
#[cfg(test)]
mod world;
