//! Redis: the names of the first commands, without arguments.

/// How many commands are kept.
const COMMANDS: usize = 3;
/// At the end of a command that was cut off by whoever wrote it.
const CUT: &str = "...";

/// The commands of a pipeline, one a line, by name; those that take a subcommand with it.
pub(super) fn commands(text: &str) -> String {
    let mut commands: Vec<String> = Vec::new();
    let mut is_cut = false;
    for line in text.split('\n') {
        if commands.len() >= COMMANDS {
            break;
        }
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let Some(first) = words.next() else {
            continue;
        };
        if first.ends_with(CUT) {
            is_cut = true;
            continue;
        }
        let mut command = first.to_uppercase();
        let has_subcommand = matches!(
            &*command,
            "CLIENT" | "CLUSTER" | "COMMAND" | "CONFIG" | "DEBUG" | "SCRIPT"
        );
        if let Some(sub) = words.next().filter(|_| has_subcommand) {
            if sub.ends_with(CUT) {
                is_cut = true;
                continue;
            }
            command.push(' ');
            command.push_str(&sub.to_uppercase());
        }
        commands.push(command);
        is_cut = false;
    }
    let mut joined = commands.join(" ");
    if commands.len() == COMMANDS || is_cut {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(CUT);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// From the agent's own table, `pkg/obfuscate/redis_test.go`.
    #[test]
    fn commands_are_those_of_the_agent() {
        for (text, expected) in [
            ("CLIENT", "CLIENT"),
            ("CLIENT LIST", "CLIENT LIST"),
            ("get my_key", "GET"),
            ("SET le_key le_value", "SET"),
            ("\n\n  \nSET foo bar  \n  \n\n  ", "SET"),
            ("CONFIG SET parameter value", "CONFIG SET"),
            ("SET toto tata \n \n  EXPIRE toto 15  ", "SET EXPIRE"),
            ("MSET toto tata toto tata toto tata \n ", "MSET"),
            (
                "MULTI\nSET k1 v1\nSET k2 v2\nSET k3 v3\nSET k4 v4\nDEL to_del\nEXEC",
                "MULTI SET SET ...",
            ),
            (
                "DEL k1\nDEL k2\nHMSET k1 \"a\" 1 \"b\" 2 \"c\" 3\nHMSET k2 \"d\" \"4\"",
                "DEL DEL HMSET ...",
            ),
            ("GET k...", "GET"),
            ("GET k1\nGET k...", "GET GET"),
            ("GET...", "..."),
            ("GET k1\nHDEL k3 a\nG...", "GET HDEL ..."),
            ("CONFIG S...", "..."),
            ("", ""),
        ] {
            assert_eq!(commands(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn arguments_never_stay(text in "[a-z]{1,8} s3cr3t[0-9]{1,8}( s3cr3t)?") {
            let shown = commands(&text).to_lowercase();
            prop_assert!(text.starts_with("config") || !shown.contains("s3cr3t"), "{shown}");
        }
    }
}
