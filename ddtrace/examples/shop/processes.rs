//! The process that starts the others, and ends them.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::customers;
use crate::service::Error;

/// How long a service may take to send its last traces.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts the services, lets customers in, and ends the services again.
pub(crate) fn run(once: bool) -> Result<(), Error> {
    let folder = Folder::new()?;
    let folder_name = folder.0.to_string_lossy().into_owned();
    #[cfg(feature = "kafka")]
    let kafka = crate::kafka::Brokers::find()?;
    #[cfg(feature = "kafka")]
    let brokers = [kafka.servers.as_str()];
    #[cfg(not(feature = "kafka"))]
    let brokers: [&str; 0] = [];
    let start = |role: &[&str]| Service::start(&[role, &brokers].concat());
    let warehouse = start(&["warehouse", &folder_name])?;
    let payments = Service::start(&["payments", &folder_name])?;
    let storefront = start(&["storefront", &warehouse.address, &payments.address])?;
    let provider = Service::start(&["provider"])?;
    let support = Service::start(&["support", &provider.address, &warehouse.address])?;
    println!("The shop is open at http://{}/products", storefront.address);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let bought = runtime.block_on(customers::visit(
        &storefront.address,
        &support.address,
        once,
    ))?;
    println!("{bought}");

    // The ones in front first, so that no request finds the door behind it closed.
    for service in [support, provider, storefront, payments, warehouse] {
        service.end()?;
    }
    Ok(())
}

/// A process of this same program with another role.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start(arguments: &[&str]) -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        if let Some(stdout) = &mut child.stdout {
            BufReader::new(stdout).read_line(&mut address)?;
        }
        if address.is_empty() {
            let status = child.wait()?;
            return Err(format!("{} did not start: {status}", arguments[0]).into());
        }
        Ok(Self {
            child,
            address: address.trim_end().to_owned(),
        })
    }

    /// Closes its standard input, which tells it to end, and waits; after a while it is ended the hard way.
    fn end(mut self) -> Result<(), Error> {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        self.child.wait()?;
        Err(format!("the service at {} did not end by itself", self.address).into())
    }
}

/// A folder for the databases, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Error> {
        let folder = std::env::temp_dir().join(format!("ddtrace-shop-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Path::new(&self.0));
    }
}
