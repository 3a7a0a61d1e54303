//! What copy trading promises: the field's worked examples to the last digit, every limit, and any
//! history against a model with whole numbers of any length.

mod copier;
mod examples;
mod limits;
mod model;
mod orders;
mod positions;
mod property;
mod rig;
