//! Which container this process runs in, from the files of its control groups.
//!
//! The agent matches the id against what the container runtime tells it. Where the files do not
//! show the id (control groups version 2 in a namespace of their own), the inode of the group's
//! folder says as much. Source: `spec/core.md` §6.5.

/// How the process can be told from others to the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainerIdentity {
    /// For the header `Datadog-Container-ID`.
    pub container_id: Option<String>,
    /// For the header `Datadog-Entity-ID`: `ci-<container id>` or `in-<inode>`.
    pub entity_id: Option<String>,
}

impl ContainerIdentity {
    /// Reads this process's files. Outside Linux there are none.
    #[cfg(target_os = "linux")]
    pub fn detect() -> ContainerIdentity {
        use std::os::unix::fs::MetadataExt;

        /// The inode of the host's control group namespace (Linux, `include/linux/proc_ns.h`).
        const HOST_NAMESPACE: u64 = 0xEFFF_FFFB;

        let inode = |path: &str| std::fs::metadata(path).ok().map(|data| data.ino());
        let groups = std::fs::read("/proc/self/cgroup").unwrap_or_default();
        let groups = String::from_utf8_lossy(&groups);
        let is_host = inode("/proc/self/ns/cgroup").is_none_or(|inode| inode == HOST_NAMESPACE);
        ContainerIdentity::from_groups(&groups, is_host, inode)
    }

    /// Reads this process's files. Outside Linux there are none.
    #[cfg(not(target_os = "linux"))]
    pub fn detect() -> ContainerIdentity {
        ContainerIdentity::default()
    }

    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    fn from_groups(
        groups: &str,
        is_host_namespace: bool,
        inode: impl Fn(&str) -> Option<u64>,
    ) -> ContainerIdentity {
        let lines: Vec<Line<'_>> = groups.lines().filter_map(Line::read).collect();
        if let Some(id) = lines.iter().find_map(|line| container_id(line.path)) {
            let entity_id = Some(format!("ci-{id}"));
            return ContainerIdentity {
                container_id: Some(id.to_owned()),
                entity_id,
            };
        }
        let folder = |line: &Line<'_>| inode(&line.folder()?).filter(|inode| *inode != 0);
        let inode = lines.iter().filter(|_| !is_host_namespace).find_map(folder);
        ContainerIdentity {
            container_id: None,
            entity_id: inode.map(|inode| format!("in-{inode}")),
        }
    }
}

/// A line of `/proc/self/cgroup`: `hierarchy:controllers:path`.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
struct Line<'a> {
    controllers: &'a str,
    path: &'a str,
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
impl<'a> Line<'a> {
    fn read(line: &'a str) -> Option<Line<'a>> {
        let mut parts = line.splitn(3, ':');
        let hierarchy = parts.next()?;
        let (controllers, path) = (parts.next()?, parts.next()?);
        hierarchy
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(Line { controllers, path })
    }

    /// The folder whose inode identifies the group: that of version 2, or of the memory controller.
    fn folder(&self) -> Option<String> {
        let base = match self.controllers {
            "" => "/sys/fs/cgroup",
            controllers if controllers.split(',').any(|name| name == "memory") => {
                "/sys/fs/cgroup/memory"
            }
            _ => return None,
        };
        Some(format!("{base}/{}", self.path.trim_start_matches('/')))
    }
}

/// The id at the end of a path: 64 hexadecimal digits, a UUID, or a task of ECS (32 hexadecimal
/// digits, a dash and decimal digits), whatever the runtime writes in front of it.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn container_id(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    let name = name.strip_suffix(".scope").unwrap_or(name);
    tail(name, 36)
        .filter(|tail| is_uuid(tail))
        .or_else(|| tail(name, 64).filter(|tail| is_hex(tail)))
        .or_else(|| {
            let (front, task) = name.rsplit_once('-')?;
            let digits = !task.is_empty() && task.bytes().all(|byte| byte.is_ascii_digit());
            let id = tail(front, 32).filter(|id| digits && is_hex(id))?;
            tail(name, id.len() + 1 + task.len())
        })
}

fn tail(text: &str, length: usize) -> Option<&str> {
    text.get(text.len().checked_sub(length)?..)
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => matches!(byte, b'-' | b'_'),
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "3726184226f5d3147c25fdeab5b60097e378e8a720503a5e19ecfdf29f869860";
    const UUID: &str = "34dc0b5e-626f-2c5c-4c51-70e34b10e765";
    const TASK: &str = "34dc0b5e626f2c5c4c5170e34b10e765-1234567890";

    #[test]
    fn ids_are_found_at_the_end_of_paths() {
        let cases = [
            (format!("0::/docker/{HEX}"), Some(HEX)),
            (
                format!("13:name=systemd:/docker/{HEX}\n12:pids:/x"),
                Some(HEX),
            ),
            (
                format!("1:cpu:/\n0::/system.slice/docker-{HEX}.scope"),
                Some(HEX),
            ),
            (
                format!(
                    "0::/kubepods.slice/kubepods-pod3d274242_8ee0_11e9_a8a6_1e68d864ef1a.slice/cri-containerd-{HEX}.scope"
                ),
                Some(HEX),
            ),
            (
                format!("11:memory:/kubepods/besteffort/pod{UUID}/{HEX}"),
                Some(HEX),
            ),
            (
                format!(
                    "9:perf_event:/ecs/haissam-ecs-classic/5a0d5ceddf6c44c1928d367a815d890f/{HEX}"
                ),
                Some(HEX),
            ),
            (format!("1:name=systemd:/ecs/{TASK}"), Some(TASK)),
            (format!("1:name=systemd:/{UUID}"), Some(UUID)),
            (format!("0::/docker/{}", &HEX[1..]), None),
            (format!("0::/docker/{}", HEX.to_uppercase()), None),
            (format!("0::/docker/{HEX}.slice"), None),
            ("0::/".to_owned(), None),
            (
                "0::/user.slice/user-0.slice/session-14.scope".to_owned(),
                None,
            ),
            ("nonsense\n::\n".to_owned(), None),
            (String::new(), None),
        ];
        for (groups, expected) in cases {
            let identity = ContainerIdentity::from_groups(&groups, true, |_| Some(7));
            assert_eq!(identity.container_id.as_deref(), expected, "{groups}");
            assert_eq!(
                identity.entity_id,
                expected.map(|id| format!("ci-{id}")),
                "{groups}"
            );
        }
    }

    #[test]
    fn without_an_id_the_folder_of_the_group_says_who_we_are() {
        let inode = |path: &str| match path {
            "/sys/fs/cgroup/" => Some(42),
            "/sys/fs/cgroup/memory/a" => Some(43),
            _ => None,
        };
        let cases = [
            ("0::/", false, Some("in-42")),
            ("0::/", true, None),
            ("5:cpu:/a\n4:memory:/a", false, Some("in-43")),
            ("0::/missing", false, None),
        ];
        for (groups, is_host, expected) in cases {
            let identity = ContainerIdentity::from_groups(groups, is_host, inode);
            assert_eq!(
                identity.entity_id.as_deref(),
                expected,
                "{groups} {is_host}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(groups in "[0-9a-f:/é\n.-]{0,200}") {
            let _ = ContainerIdentity::from_groups(&groups, false, |_| None);
        }
    }
}
