//! Where checkpoints live: a flat space of named objects, in a folder or in an object store.
//!
//! An object is there whole or not at all, lasts once `put` has returned, and can be created only
//! if there is none of its name: that is all that checkpoints rest on.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::runtime::Runtime;

use crate::fault::Fault;

/// Named objects. Names are paths with `/`, of letters, digits, `-`, `_` and `.`.
pub trait Store: Send + Sync + Debug {
    /// Creates an object; false if there is one of this name already, which then stays as it is.
    ///
    /// # Errors
    /// When it is not known whether the object is there for good.
    fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Fault>;
    /// Gives an object's bytes, or none if there is no such object.
    ///
    /// # Errors
    /// When it cannot be read.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Fault>;
    /// Lists the names in a folder, sorted, each with its folder.
    ///
    /// # Errors
    /// When it cannot be listed.
    fn list(&self, folder: &str) -> Result<Vec<String>, Fault>;
    /// Removes an object; one that is gone already is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, name: &str) -> Result<(), Fault>;
    /// Gives the whole place of an object, for messages.
    fn place(&self, name: &str) -> String;
}

/// A folder, or S3 and what speaks like it, through the crate `object_store`.
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    place: String,
    runtime: Runtime,
}

impl Debug for Objects {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Objects").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Objects {
    /// Opens a folder, and makes it if it is not there. What is put is synced with its folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn folder(path: &Path) -> Result<Self, Fault> {
        std::fs::create_dir_all(path).map_err(|error| {
            Fault::file(path, format!("the folder cannot be made: {error}; choose another"))
        })?;
        let store =
            LocalFileSystem::new_with_prefix(path).map_err(|error| Fault::file(path, error))?;
        Self::new(Arc::new(store.with_fsync(true)), path.display().to_string())
    }

    /// Opens `s3://bucket/prefix`, with what the environment says of credentials, region and
    /// endpoint (`variable` answers for `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT` and the like).
    ///
    /// # Errors
    /// When the URL cannot be understood.
    pub fn s3(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let refused = |error: &dyn std::fmt::Display| Fault::stop(url, error.to_string());
        let rest = url.strip_prefix("s3://").ok_or_else(|| refused(&"expected s3://bucket/…"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket);
        for (key, name) in S3_KEYS {
            if let Some(value) = variable(name) {
                let key = key.parse().map_err(|error: Error| refused(&error))?;
                builder = builder.with_config(key, value);
            }
        }
        // The client has none of its own. Whoever installs one first has won, and it is the same one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let store = builder.build().map_err(|error| refused(&error))?;
        let store = PrefixStore::new(store, prefix);
        Self::new(Arc::new(store), url.trim_end_matches('/').to_owned())
    }

    /// Opens what a URL names: `s3://…`, `file://…`, or else a folder under `root`.
    ///
    /// # Errors
    /// When it cannot be understood or made.
    pub fn open(
        url: &str,
        root: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Fault> {
        if url.starts_with("s3://") {
            return Self::s3(url, variable);
        }
        Self::folder(&root.join(url.strip_prefix("file://").unwrap_or(url)))
    }

    fn new(store: Arc<dyn ObjectStore>, place: String) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Fault::stop(&place, format!("no thread for the store: {error}")))?;
        Ok(Self { store, place, runtime })
    }

    fn fault(&self, name: &str, error: &Error) -> Fault {
        Fault::stop(self.place(name), format!("{error}; check the store and its permissions"))
    }
}

/// What may be set for S3, and the variable that says it.
const S3_KEYS: [(&str, &str); 8] = [
    ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("aws_session_token", "AWS_SESSION_TOKEN"),
    ("aws_region", "AWS_REGION"),
    ("aws_endpoint", "AWS_ENDPOINT"),
    ("aws_allow_http", "AWS_ALLOW_HTTP"),
    ("aws_virtual_hosted_style_request", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST"),
    ("aws_web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE"),
];

impl Store for Objects {
    fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Fault> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let location = Name::from(name);
        let put = self.store.put_opts(&location, bytes.into(), options);
        match self.runtime.block_on(put) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.fault(name, &error)),
        }
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let name_in_store = Name::from(name);
        let read = async { self.store.get(&name_in_store).await?.bytes().await };
        match self.runtime.block_on(read) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.fault(name, &error)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, Fault> {
        let prefix = Name::from(folder);
        let list = self.store.list(Some(&prefix)).map_ok(|object| object.location.to_string());
        let names: Result<Vec<String>, Error> = self.runtime.block_on(list.try_collect());
        let mut names = names.map_err(|error| self.fault(folder, &error))?;
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<(), Fault> {
        match self.runtime.block_on(self.store.delete(&Name::from(name))) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.fault(name, &error)),
        }
    }

    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }
}
