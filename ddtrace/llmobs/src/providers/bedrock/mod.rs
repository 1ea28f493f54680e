//! Amazon Bedrock: one shape for all models (Converse), and each model's own (InvokeModel).

pub(super) mod converse;
pub(super) mod invoke;
