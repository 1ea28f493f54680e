//! What the compiler says when the attributes are misused.
