//! What the engine promises, seen from outside.

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod job_file;
#[cfg(test)]
mod pictures;
