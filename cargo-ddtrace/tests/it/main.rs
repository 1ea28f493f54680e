//! The agent from outside: started in this process or as a program, spoken to over sockets.

mod api;
mod bounds;
#[path = "../browser/mod.rs"]
mod browser;
mod client;
mod faults;
mod formats;
mod forward;
mod llm;
mod payload;
mod python;
mod remote_config;
mod rules;
mod run;
mod search;
mod security;
mod stream;
mod streams;
