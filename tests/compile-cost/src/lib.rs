//! Nothing but the dependencies: `run` compiles the functions that it writes against them.
