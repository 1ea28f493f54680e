//! Whether what the features name is linked: a crate that nothing refers to would be missing.
//!
//! The same with optimisation and with link-time optimisation, which may drop more:
//! `CARGO_PROFILE_RELEASE_LTO=fat cargo test --release -p ddtrace --test registry`.

#[test]
fn every_integration_of_an_enabled_feature_is_linked() {
    let linked = ddtrace::registry::linked();
    let integrations: Vec<_> = linked
        .integrations
        .iter()
        .map(|integration| (integration.name(), integration.supported()))
        .collect();
    for expected in [("axum", "0.8"), ("reqwest", "0.13"), ("sqlx", "0.9")] {
        assert!(
            integrations.contains(&expected),
            "{expected:?} is not in {integrations:?}"
        );
    }
}
