//! Which members of the workspace a binary is made of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::targets::{Kind, Package, Targets};
use crate::test::impact::Members;

/// What is known of the members for the binaries of one package. Fails with a reason if a dependency lies where nobody looks for changes.
pub(super) fn of(targets: &Targets, package: &Path, repository: &Path) -> Result<Members, String> {
    let packages = targets.packages();
    for need in packages.iter().flat_map(|package| &package.needs) {
        if !is_below(&need.folder, repository) {
            return Err(format!(
                "{} lies outside of the repository, so what changes there can't be seen",
                need.folder.display()
            ));
        }
    }
    let find = |folder: &Path| packages.iter().find(|package| package.folder == folder);
    let used = closure(find(package).into_iter().collect(), &find);
    let runs_early = packages.iter().flat_map(|package| {
        let is_macro = package
            .targets
            .iter()
            .any(|target| target.kind == Kind::ProcMacro);
        let needed = package.needs.iter().filter(|need| need.is_build);
        let needed = needed.filter_map(|need| find(&need.folder));
        needed.chain(is_macro.then_some(package))
    });
    let host = closure(runs_early.collect(), &find);
    let folders = |packages: &[&Package]| {
        packages
            .iter()
            .map(|package| package.folder.clone())
            .collect()
    };
    let crates = |wanted: &[Kind]| -> BTreeSet<String> {
        let targets = used.iter().flat_map(|package| &package.targets);
        targets
            .filter(|target| wanted.contains(&target.kind))
            .map(|target| target.name.replace('-', "_"))
            .collect()
    };
    // Programs keep the dashes of their names.
    let programs = used.iter().flat_map(|package| &package.targets);
    let programs = programs.filter(|target| target.kind == Kind::Binary);
    let mut of_members = crates(&[Kind::Library, Kind::ProcMacro, Kind::Binary]);
    of_members.extend(programs.map(|target| target.name.clone()));
    Ok(Members {
        all: packages
            .iter()
            .map(|package| package.folder.clone())
            .collect(),
        used: folders(&used),
        host: folders(&host),
        scripts: packages
            .iter()
            .filter_map(|package| package.script.clone())
            .collect(),
        others: crates(&[Kind::Test, Kind::Example, Kind::Bench]),
        crates: of_members,
        root: targets.root().to_owned(),
    })
}

/// Names of the programs of a package and of those that it depends on.
pub(super) fn programs(targets: &Targets, package: &Path) -> Vec<String> {
    let packages = targets.packages();
    let find = |folder: &Path| packages.iter().find(|package| package.folder == folder);
    let used = closure(find(package).into_iter().collect(), &find);
    let all = used.iter().flat_map(|package| &package.targets);
    let programs = all.filter(|target| target.kind == Kind::Binary);
    programs.map(|target| target.name.clone()).collect()
}

/// These packages and all that they depend on among the members.
fn closure<'p>(
    mut waiting: Vec<&'p Package>,
    find: &impl Fn(&Path) -> Option<&'p Package>,
) -> Vec<&'p Package> {
    let mut found: Vec<&Package> = Vec::new();
    while let Some(package) = waiting.pop() {
        if found.iter().any(|known| known.folder == package.folder) {
            continue;
        }
        found.push(package);
        waiting.extend(package.needs.iter().filter_map(|need| find(&need.folder)));
    }
    found
}

fn is_below(path: &Path, folder: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| PathBuf::from(path));
    real(path).starts_with(real(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn package(name: &str, kinds: &[&str], needs: &[(&str, &str)]) -> Value {
        let target = |kind: &&str| json!({"name": format!("{name}-{kind}"), "kind": [kind], "src_path": format!("/w/{name}/{kind}.rs")});
        let need = |(path, kind): &(&str, &str)| {
            let kind = if kind.is_empty() {
                Value::Null
            } else {
                json!(kind)
            };
            json!({"name": path, "path": format!("/w/{path}"), "kind": kind})
        };
        json!({
            "name": name, "manifest_path": format!("/w/{name}/Cargo.toml"),
            "targets": kinds.iter().map(target).collect::<Vec<_>>(),
            "dependencies": needs.iter().map(need).chain([json!({"name": "serde", "kind": null})]).collect::<Vec<_>>(),
        })
    }

    #[test]
    fn a_package_uses_what_it_depends_on_and_what_compiles_it_runs_early() {
        let metadata = json!({"workspace_root": "/w", "packages": [
            package("app", &["bin", "test"], &[("core", ""), ("fixtures", "dev"), ("codegen", "build")]),
            package("core", &["lib", "custom-build"], &[]),
            package("fixtures", &["lib"], &[]),
            package("codegen", &["lib"], &[("parse", "")]),
            package("parse", &["lib"], &[]),
            package("derive", &["proc-macro"], &[]),
            package("other", &["lib"], &[("core", "")]),
        ]});
        let targets = Targets::read(&metadata);
        let members = of(&targets, Path::new("/w/app"), Path::new("/w")).unwrap();
        let names = |folders: &BTreeSet<PathBuf>| -> Vec<String> {
            let names = folders.iter().map(|folder| folder.file_name().unwrap());
            names
                .map(|name| name.to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(
            names(&members.used),
            ["app", "codegen", "core", "fixtures", "parse"]
        );
        assert_eq!(names(&members.host), ["codegen", "derive", "parse"]);
        assert_eq!(members.scripts, [PathBuf::from("/w/core/custom-build.rs")]);
        assert_eq!(members.all.len(), 7);
        assert!(members.crates.contains("app-bin") && members.crates.contains("core_lib"));
        assert_eq!(members.others.iter().collect::<Vec<_>>(), ["app_test"]);
        assert_eq!(programs(&targets, Path::new("/w/app")), ["app-bin"]);
        let outside = of(&targets, Path::new("/w/app"), Path::new("/w/app"));
        assert!(outside.is_err_and(|why| why.contains("outside of the repository")));
    }
}
