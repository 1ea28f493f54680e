//! What the attributes do to real code (`corpus`), and what the compiler says when they are misused (`ui`).
