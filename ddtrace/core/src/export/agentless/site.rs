//! Where the intakes of a site are.
//!
//! Source: dd-trace-py, `ddtrace/internal/writer/writer.py`; libdatadog, `libdd-trace-utils/src/send_data`.

/// Sites whose intake for traces follows no rule.
const TRACE_INTAKES: [(&str, &str); 5] = [
    (
        "datadoghq.com",
        "public-trace-http-intake.logs.datadoghq.com",
    ),
    ("datadoghq.eu", "public-trace-http-intake.logs.datadoghq.eu"),
    (
        "us3.datadoghq.com",
        "trace.browser-intake-us3-datadoghq.com",
    ),
    (
        "us5.datadoghq.com",
        "trace.browser-intake-us5-datadoghq.com",
    ),
    ("datad0g.com", "public-trace-http-intake.logs.datad0g.com"),
];

/// The base URL of the intake for traces; the path is `/v1/input`.
///
/// ```
/// use ddtrace_core::export::agentless::trace_intake;
///
/// assert_eq!(trace_intake("datadoghq.eu"), "https://public-trace-http-intake.logs.datadoghq.eu");
/// assert_eq!(trace_intake("ap1.datadoghq.com"), "https://browser-intake-ap1-datadoghq.com");
/// ```
pub fn trace_intake(site: &str) -> String {
    let site = site.to_ascii_lowercase();
    if let Some((_, host)) = TRACE_INTAKES.iter().find(|(known, _)| *known == site) {
        return format!("https://{host}");
    }
    match site.rsplit_once('.') {
        Some((name, domain)) => {
            format!("https://browser-intake-{}.{domain}", name.replace('.', "-"))
        }
        None => format!("https://browser-intake-{site}"),
    }
}

/// The base URL of the intake for statistics; the path is `/api/v0.2/stats`.
pub fn stats_intake(site: &str) -> String {
    format!("https://trace.agent.{site}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's table and its rule for sites that are not in it.
    #[test]
    fn every_site_has_its_intake() {
        for (site, intake) in [
            (
                "datadoghq.com",
                "https://public-trace-http-intake.logs.datadoghq.com",
            ),
            (
                "us5.datadoghq.com",
                "https://trace.browser-intake-us5-datadoghq.com",
            ),
            (
                "US3.datadoghq.com",
                "https://trace.browser-intake-us3-datadoghq.com",
            ),
            (
                "ap2.datadoghq.com",
                "https://browser-intake-ap2-datadoghq.com",
            ),
            (
                "uk1.datadoghq.com",
                "https://browser-intake-uk1-datadoghq.com",
            ),
            ("ddog-gov.com", "https://browser-intake-ddog-gov.com"),
            (
                "us2.ddog-gov.com",
                "https://browser-intake-us2-ddog-gov.com",
            ),
        ] {
            assert_eq!(trace_intake(site), intake);
        }
        assert_eq!(
            stats_intake("datadoghq.eu"),
            "https://trace.agent.datadoghq.eu"
        );
    }
}
