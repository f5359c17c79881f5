//! What start.py holds: the worker's connection to its front, from the hello to the serving.

use std::sync::{Arc, Mutex, PoisonError};

use carme_ring::WorkerRing;
use carme_ring::control::{AppSettings, Hello, Interface, Python as Interpreter, ToFront};
use carme_ring::link::{Bell, LinkError, WorkerBells, WorkerLink};
use pyo3::exceptions::{PyConnectionError, PyRuntimeError};
use pyo3::prelude::*;

use crate::crew::{Crew, Equipment};
use crate::link::{DrainSignal, listen};
use crate::post::Post;
use crate::watch::Watch;
use crate::wsgi::Facts;

fn broken(error: LinkError) -> PyErr {
    PyConnectionError::new_err(format!("the connection to the front failed: {error}"))
}

/// The connection of this process to its front.
#[pyclass(frozen, module = "carme")]
pub struct Connection {
    settings: AppSettings,
    post: Arc<Post>,
    drain: Arc<DrainSignal>,
    watch: Watch,
    bells: Mutex<Option<(Bell, Bell)>>,
}

/// Says hello to the front that started this process and takes its welcome.
#[pyfunction]
pub fn connect(
    py: Python<'_>,
    version: (u8, u8, u8),
    implementation: String,
    free_threaded: bool,
    executable: String,
) -> PyResult<Connection> {
    let hello = Hello::new(Interpreter {
        version,
        implementation,
        free_threaded,
        executable,
    });
    let link = py.detach(|| WorkerLink::from_env(hello)).map_err(broken)?;
    let WorkerLink {
        welcome,
        region,
        sender,
        receiver,
        bells:
            WorkerBells {
                leader,
                second,
                inbox,
                front,
            },
    } = link;
    let ring = WorkerRing::new(Arc::new(region), welcome.index);
    let post = Arc::new(Post::new(ring, sender, front));
    let drain = Arc::<DrainSignal>::default();
    let watch = Watch::start(py, Arc::clone(&post))?;
    // From now on the end of the front is the end of this process, even while the app is being imported.
    listen(
        receiver,
        inbox,
        Arc::clone(&post),
        Arc::clone(&drain),
        watch.orders(),
    )
    .map_err(|error| PyRuntimeError::new_err(format!("no thread could be started: {error}")))?;
    Ok(Connection {
        settings: welcome.app,
        post,
        drain,
        watch,
        bells: Mutex::new(Some((leader, second))),
    })
}

#[pymethods]
impl Connection {
    #[getter]
    fn target(&self) -> &str {
        &self.settings.target
    }

    #[getter]
    fn import_root(&self) -> &std::path::Path {
        &self.settings.import_root
    }

    #[getter]
    fn route(&self) -> &str {
        &self.settings.route
    }

    /// `auto`, `wsgi` or `asgi`.
    #[getter]
    fn interface(&self) -> &'static str {
        match self.settings.interface {
            Interface::Auto => "auto",
            Interface::Wsgi => "wsgi",
            Interface::Asgi => "asgi",
        }
    }

    /// `sys.setswitchinterval`'s value in seconds.
    #[getter]
    fn switch_interval(&self) -> f64 {
        f64::from(self.settings.switch_interval_us) / 1e6
    }

    /// Tells the front that there is no app to serve.
    fn import_failed(&self, py: Python<'_>, message: String, traceback: String) -> PyResult<()> {
        py.detach(|| {
            self.watch.close();
            self.post.tell(&ToFront::ImportFailed { message, traceback })
        })
        .map_err(broken)
    }

    /// Tells the front that the app is ready, then serves it until the front says to drain.
    fn serve_wsgi(&self, py: Python<'_>, app: Py<PyAny>, attribute: String, title: String) -> PyResult<()> {
        let (leader, second) = self
            .bells
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .ok_or_else(|| PyRuntimeError::new_err("a worker serves one app, once"))?;
        let threads = usize::from(self.settings.threads.max(1));
        let facts = Facts {
            multithread: threads > 1,
            multiprocess: self.settings.multiprocess,
        };
        let post = Arc::clone(&self.post);
        let crew = Bound::new(
            py,
            Crew::new(
                py,
                Equipment {
                    post,
                    leader,
                    second,
                    threads,
                    facts,
                },
                app,
            )?,
        )?;
        let ready = ToFront::Ready {
            interface: Interface::Wsgi,
            attribute,
            title,
        };
        py.detach(|| self.post.tell(&ready)).map_err(broken)?;
        let served = Crew::serve(&crew, &self.drain);
        py.detach(|| self.watch.close());
        served
    }
}
