//! The engine driven through fake components: what reaches a sink, and how a run ends.

#[cfg(test)]
mod driver;
#[cfg(test)]
mod fakes;
