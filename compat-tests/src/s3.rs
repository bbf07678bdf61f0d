//! S3 stores: MinIO, the embedded one on a folder, and a plain client for one bucket.

use crate::kafka::runtime;
use crate::process::{Life, Process, Program};
use crate::{Outcome, fail, parts, wait};
use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredential};
use object_store::client::HttpRequestBody;
use object_store::path::Path as Key;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use std::path::Path;
use std::time::Duration;

/// Access to an S3 API.
#[derive(Debug, Clone)]
pub struct S3 {
    /// URL of the endpoint.
    pub endpoint: String,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Region.
    pub region: String,
}

/// An S3 server that was started here.
#[derive(Debug)]
pub struct S3Server {
    /// How to reach it.
    pub s3: S3,
    process: Process,
}

const ACCESS_KEY: &str = "ferroconnect";
const SECRET_KEY: &str = "ferroconnect-secret";

impl S3Server {
    /// Starts MinIO with its data in `folder`.
    pub fn minio(folder: &Path) -> Outcome<Self> {
        Self::minio_at(folder, &format!("127.0.0.1:{}", parts::free_port()))
    }

    /// Starts MinIO at an address of its own.
    pub fn minio_at(folder: &Path, address: &str) -> Outcome<Self> {
        let data = folder.join("minio");
        let program = parts::path("bin/minio")?;
        let arguments = ["server", &data.display().to_string(), "--address", address];
        let process = Program::new(&program.display().to_string(), arguments)
            .env("MINIO_ROOT_USER", ACCESS_KEY)
            .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
            .env("MINIO_BROWSER", "off")
            .start(&folder.join("minio.log"))?;
        Self::ready(address, process)
    }

    /// Starts the embedded store on `folder`: each folder in it is a bucket, each file an object.
    pub fn folder(folder: &Path, log: &Path, life: Life) -> Outcome<Self> {
        let port = parts::free_port();
        let address = format!("127.0.0.1:{port}");
        std::fs::create_dir_all(folder)?;
        let here = std::env::current_exe()?;
        // Beside this program, or, for a test, one folder up.
        let program = here
            .ancestors()
            .skip(1)
            .map(|folder| folder.join("s3-folder"));
        let program = program.take(2).find(|path| path.is_file());
        let program =
            program.ok_or("s3-folder is not built: cargo build -p compat-tests --bins")?;
        let arguments = [folder.display().to_string(), address.clone()];
        let process = Program::new(&program.display().to_string(), arguments)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .life(life)
            .start(log)?;
        Self::ready(&address, process)
    }

    fn ready(address: &str, mut process: Process) -> Outcome<Self> {
        let s3 = S3 {
            endpoint: format!("http://{address}"),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            region: "us-east-1".to_owned(),
        };
        wait::until("the S3 store", Duration::from_secs(30), || {
            process.check_alive()?;
            std::net::TcpStream::connect(address)?;
            Ok(Some(()))
        })?;
        Ok(Self { s3, process })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl S3 {
    /// The variables by which the AWS SDKs, and Ferroconnect, find this store.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL_S3", &self.endpoint),
            ("AWS_ACCESS_KEY_ID", &self.access_key),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_key),
            ("AWS_REGION", &self.region),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
    }

    /// Creates a bucket; one that is there already is fine. A store that still starts is waited for.
    pub fn create_bucket(&self, name: &str) -> Outcome<Bucket> {
        wait::until(
            &format!("bucket {name} at {}", self.endpoint),
            Duration::from_secs(30),
            || match self.put(name, Bytes::new())? {
                (200..300 | 409, _) => Ok(Some(())),
                (status, text) => fail(format!("{status} {text}")),
            },
        )?;
        self.bucket(name)
    }

    /// Creates a bucket that whoever comes may read and write, without a signature.
    pub fn create_open_bucket(&self, name: &str) -> Outcome<Bucket> {
        let bucket = self.create_bucket(name)?;
        let resource = |path: &str| format!("arn:aws:s3:::{name}{path}");
        let policy = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"AWS": ["*"]},
                "Action": ["s3:*"],
                "Resource": [resource(""), resource("/*")],
            }],
        });
        match self.put(&format!("{name}?policy"), policy.to_string())? {
            (200..300, _) => Ok(bucket),
            (status, text) => fail(format!("{status} {text}")),
        }
    }

    /// A signed PUT; the status and the text of its answer.
    fn put(&self, path: &str, body: impl Into<Bytes>) -> Outcome<(u16, String)> {
        let url = format!("{}/{path}", self.endpoint.trim_end_matches('/'));
        let credential = AwsCredential {
            key_id: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            token: None,
        };
        let body = body.into();
        let mut request = hyper::Request::builder()
            .method("PUT")
            .uri(&url)
            .body(HttpRequestBody::from(body.clone()))?;
        AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(&mut request, None)?;
        let client = reqwest::blocking::Client::new();
        let send = client.put(url).headers(request.headers().clone());
        let answer = send.body(body).send()?;
        Ok((answer.status().as_u16(), answer.text()?))
    }

    /// A bucket that is there.
    pub fn bucket(&self, name: &str) -> Outcome<Bucket> {
        let store = AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_access_key_id(&self.access_key)
            .with_secret_access_key(&self.secret_key)
            .with_region(&self.region)
            .with_bucket_name(name)
            .with_allow_http(true)
            .build()?;
        Ok(Bucket {
            name: name.to_owned(),
            store,
        })
    }
}

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    store: AmazonS3,
}

impl Bucket {
    /// Every object's key and size, by key.
    pub fn list(&self) -> Outcome<Vec<(String, u64)>> {
        let mut objects = Vec::new();
        let mut folders = vec![None::<Key>];
        runtime()?.block_on(async {
            while let Some(folder) = folders.pop() {
                let found = self.store.list_with_delimiter(folder.as_ref()).await?;
                folders.extend(found.common_prefixes.into_iter().map(Some));
                let files = found.objects.into_iter();
                objects.extend(files.map(|object| (object.location.to_string(), object.size)));
            }
            Outcome::Ok(())
        })?;
        objects.sort();
        Ok(objects)
    }

    /// Stores an object.
    pub fn put(&self, key: &str, bytes: &[u8]) -> Outcome<()> {
        runtime()?.block_on(async {
            let payload = Bytes::copy_from_slice(bytes).into();
            self.store.put(&Key::parse(key)?, payload).await?;
            Ok(())
        })
    }

    /// The bytes of an object.
    pub fn get(&self, key: &str) -> Outcome<Bytes> {
        runtime()?.block_on(async { Ok(self.store.get(&Key::parse(key)?).await?.bytes().await?) })
    }
}
