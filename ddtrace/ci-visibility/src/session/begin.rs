//! Begins a session.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ddtrace_core::config::{Config, Environment};
use ddtrace_core::diagnostics;
use ddtrace_core::export::agent::{TRACER_VERSION, deadline};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::launch::Launch;
use super::prepare::{Preparation, Source};
use super::record::Record;
use super::surroundings::{Surroundings, env, platform_tags, service};
use super::{Inner, Session, lock};
use crate::backend::{Asker, Backend, Settings};
use crate::ci::{Tags, Variables, custom_tags};
use crate::codeowners::CodeOwners;
use crate::concurrent::both;
use crate::manifest::Manifest;
use crate::model::SessionId;
use crate::model::tags::*;
use crate::options::Options;
use crate::payload::{Configuration, Metadata, Shape};
use crate::selection::{Policy, RetryBudget};
use crate::telemetry::Metrics;
use crate::transport::{Route, Transport, Unavailable};
use crate::writer::{Destination, Stream, Writer};

/// How much of the budget the questions before compiling may take.
const SETTINGS_SHARE: f64 = 0.5;

impl Session {
    /// Begins a session: looks around, finds the backend, and asks what is switched on.
    ///
    /// Runs on the tokio runtime at hand, which has to last until [`Session::finish`]. An error is
    /// one line for the user; the tests then run as without us.
    pub async fn start(
        config: &Config,
        environment: Arc<dyn Environment + Send + Sync>,
        launch: Launch,
    ) -> Result<Session, Unavailable> {
        let begin = Instant::now();
        let options = Options::read(config);
        if !options.enabled {
            return Err(Unavailable::SwitchedOff);
        }
        let variables = Variables::of(&*environment);
        let metrics = Arc::new(Metrics::default());
        let files = files_folder(&options, &variables);
        let manifest = options
            .manifest_file
            .as_ref()
            .and_then(|path| Manifest::read(path, &*environment));
        if options.manifest_file.is_some() && manifest.is_none() {
            diagnostics::warn(format_args!(
                "expected a manifest of version 1 at DD_TEST_OPTIMIZATION_MANIFEST_FILE; it is not used"
            ));
        }
        let around = look(&launch, &environment, &options, &metrics, files.is_some());
        let route = async {
            match files {
                Some(_) => Ok(None),
                None => Route::find(config, &options, &variables).await.map(Some),
            }
        };
        let (mut around, route) = both(around, route).await;
        let (transport, of_agent) = match route? {
            Some((route, env)) => {
                let transport = Transport::new(route, options.request_timeout);
                (Some(Arc::new(transport)), env)
            }
            None => (None, None),
        };
        if manifest.is_some() {
            let provider = around.tags.entry(CI_PROVIDER_NAME.to_owned());
            provider.or_insert_with(|| "bazel".to_owned());
        }
        let platform = platform_tags(&*environment, &launch.runtime_version);
        let (service, is_user_provided) = service(config, &around.tags);
        let asker = Asker {
            service,
            env: env(config, &variables, of_agent),
            configurations: Asker::configurations(&platform, &custom_tags(&variables)),
            tags: around.tags.clone(),
            level: options.skipping_level,
        };
        let backend = transport
            .as_ref()
            .map(|transport| Arc::new(Backend::new(Arc::clone(transport), Arc::clone(&metrics))));
        let id = SessionId::random();
        let name = session_name(&options, &around.tags, &launch.command);
        let metadata = metadata(&asker, &platform, &launch, &name, is_user_provided);
        let metadata = Arc::new(Mutex::new(metadata));
        let (end, limit) = deadline();
        let destination = |kind: &str| match (&files, &transport) {
            (Some(folder), _) => Destination::Files(folder.join("payloads").join(kind)),
            (None, Some(transport)) => Destination::Backend(Arc::clone(transport)),
            // One of the two is there.
            (None, None) => Destination::Files(PathBuf::new()),
        };
        let writer = |stream: Stream| {
            let to = destination(stream.file_kind);
            Writer::start(stream, to, Arc::clone(&metrics), limit.clone())
        };
        let tests = writer(Stream::tests(Shape::Tests(Arc::clone(&metadata))));
        if let Some(events) = options.flush_events {
            tests.set_threshold(events);
        }
        let coverage = writer(Stream::coverage());
        let logs = (options.logs && files.is_none()).then(|| writer(Stream::logs()));
        let (publish, policy) = watch::channel(None);
        let retried_tests = options.retried_tests_per_session;
        let mut inner = Inner {
            id,
            name,
            workspace: around.workspace.clone(),
            settings: Settings::default(),
            site: config.site.clone(),
            hostname: environment.hostname().unwrap_or_default(),
            configuration: Mutex::new(Configuration::new(id, asker.service.clone())),
            metadata,
            policy,
            preparing: Mutex::new(None),
            record: Mutex::new(Record::default()),
            budget: RetryBudget::new(retried_tests),
            codeowners: CodeOwners::of_repository(&around.workspace),
            tests,
            coverage,
            logs,
            metrics,
            backend,
            telemetry_files: files
                .as_ref()
                .map(|folder| folder.join("payloads/telemetry")),
            marker_in: Mutex::new(None),
            end,
            asker,
            options,
            launch,
            environment,
        };
        let until = begin + inner.launch.budget;
        let preparation = settle(&mut inner, manifest, around, files.is_some(), until).await;
        let inner = Arc::new(inner);
        let preparing = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            let policy = prepare(&preparing, preparation).await;
            // Whoever waits has gone if this fails.
            let _ = publish.send(Some(Arc::new(policy)));
        });
        *lock(&inner.preparing) = Some(task);
        Ok(Session(inner))
    }
}

/// Finds out what is on, and what is to be prepared.
async fn settle(
    inner: &mut Inner,
    manifest: Option<Manifest>,
    around: Surroundings,
    in_files: bool,
    until: Instant,
) -> Preparation {
    let source = match (manifest, inner.backend.clone()) {
        (Some(manifest), _) => Source::Files(manifest),
        (None, Some(backend)) => Source::Backend(backend),
        (None, None) => Source::Nothing,
    };
    let mut preparation = Preparation {
        source,
        asker: inner.asker.clone(),
        settings: Settings::default(),
        git: around.git,
        uploaded: None,
        until,
    };
    let answered = match &preparation.source {
        Source::Files(manifest) => match manifest.answer("settings", &*inner.environment) {
            // A file that is missing is an answer without content.
            None => Some(Settings::default()),
            Some(body) => Settings::parse(&body).ok(),
        },
        Source::Nothing => Some(Settings::default()),
        Source::Backend(backend) => {
            let backend = Arc::clone(backend);
            let share = inner.launch.budget.mul_f64(SETTINGS_SHARE);
            ask_settings(inner, &mut preparation, &backend, share).await
        }
    };
    let is_answered = answered.is_some();
    let mut settings = inner.options.apply(answered.unwrap_or_default());
    if in_files {
        // Whoever put the tests into a sandbox has selected them.
        settings.tests_skipping = false;
    }
    {
        let mut configuration = lock(&inner.configuration);
        if !is_answered {
            configuration.errors.push("settings");
        }
        configuration.tests_skipping = settings.tests_skipping;
        configuration.skipping_level = inner.options.skipping_level;
    }
    preparation.settings = settings.clone();
    inner.settings = settings;
    preparation
}

/// Asks for the settings; where the backend wants commits first, sends them and asks again.
async fn ask_settings(
    inner: &Inner,
    preparation: &mut Preparation,
    backend: &Arc<Backend>,
    share: Duration,
) -> Option<Settings> {
    let (setter, mut limit) = deadline();
    setter.set((Instant::now() + share).into());
    let first = backend.settings(&inner.asker, &mut limit).await;
    let settings = match first {
        Ok(settings) => settings,
        Err(error) => {
            diagnostics::warn(format_args!(
                "the settings of CI Visibility could not be asked for, its features are off: {error}"
            ));
            return None;
        }
    };
    if !settings.require_git {
        return Some(settings);
    }
    setter.set(preparation.until.into());
    let uploaded = preparation.upload(backend, inner, &mut limit).await;
    if let Some(uploaded) = &uploaded {
        inner.note_upload(uploaded);
    }
    preparation.uploaded = uploaded;
    match backend.settings(&inner.asker, &mut limit).await {
        Ok(settings) => Some(settings),
        Err(error) => {
            diagnostics::warn(format_args!(
                "the settings of CI Visibility could not be asked for again: {error}"
            ));
            None
        }
    }
}

/// Waits for the answers and makes the policy of them.
async fn prepare(inner: &Arc<Inner>, preparation: Preparation) -> Policy {
    let settings = preparation.settings.clone();
    let prepared = preparation.run(inner).await;
    {
        let mut configuration = lock(&inner.configuration);
        configuration.errors.extend(&prepared.errors);
        let skippable = prepared.answers.skippable.as_ref();
        let id = skippable.map(|skippable| skippable.correlation_id.clone());
        configuration.correlation_id = id.filter(|id| !id.is_empty());
    }
    let options = &inner.options;
    Policy::new(settings, prepared.answers)
        .auto_test_retries(options.retries_per_test)
        .early_flake_retries(options.early_flake_retries)
        .only_attempts_to_fix(options.only_attempts_to_fix)
}

async fn look(
    launch: &Launch,
    environment: &Arc<dyn Environment + Send + Sync>,
    options: &Options,
    metrics: &Arc<Metrics>,
    in_files: bool,
) -> Surroundings {
    let directory = launch.directory.clone();
    let environment = Arc::clone(environment);
    let (options, metrics) = (options.clone(), Arc::clone(metrics));
    let nothing = Surroundings {
        tags: Tags::new(),
        git: None,
        workspace: directory.clone(),
    };
    let around = spawn_blocking(move || {
        if in_files {
            Surroundings::of_sandbox(&directory, &*environment, &options)
        } else {
            Surroundings::look(&directory, &*environment, &options, &metrics)
        }
    });
    around.await.unwrap_or(nothing)
}

/// Where payloads go as files, if they do.
fn files_folder(options: &Options, variables: &Variables) -> Option<PathBuf> {
    if !options.payloads_in_files {
        return None;
    }
    let folder = variables.get("TEST_UNDECLARED_OUTPUTS_DIR");
    if folder.is_none() {
        diagnostics::warn(format_args!(
            "DD_TEST_OPTIMIZATION_PAYLOADS_IN_FILES is set, but not TEST_UNDECLARED_OUTPUTS_DIR: payloads are sent"
        ));
    }
    folder.map(PathBuf::from)
}

fn session_name(options: &Options, tags: &Tags, command: &str) -> String {
    if let Some(name) = &options.session_name {
        return name.clone();
    }
    match tags.get(CI_JOB_NAME) {
        Some(job) => format!("{job}-{command}"),
        None => command.to_owned(),
    }
}

fn metadata(
    asker: &Asker,
    platform: &Tags,
    launch: &Launch,
    name: &str,
    is_user_provided: bool,
) -> Metadata {
    let mut all = asker.tags.clone();
    all.extend(platform.clone());
    let runtime_id = crate::random::uuid().replace('-', "");
    let provided = if is_user_provided { "true" } else { "false" };
    let pairs = [
        ("language", "rust"),
        ("runtime-id", &runtime_id),
        ("library_version", TRACER_VERSION),
        ("_dd.origin", "ciapp-test"),
        ("_dd.p.dm", "-0"),
        (ENV, &asker.env),
        (SERVICE_NAME, &asker.service),
        (TEST_COMMAND, &launch.command),
        (TEST_FRAMEWORK, &launch.framework),
        (TEST_FRAMEWORK_VERSION, &launch.framework_version),
        (COMPONENT, &launch.framework),
        (TEST_SESSION_NAME, name),
        (IS_USER_PROVIDED_SERVICE, provided),
    ];
    let with_value = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    all.extend(with_value.map(|(key, value)| (key.to_owned(), value.to_owned())));
    Metadata {
        all,
        test: launch.capabilities.tags().collect(),
    }
}
