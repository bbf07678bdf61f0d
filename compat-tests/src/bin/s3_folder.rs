//! An S3 store on a folder that a person can open: each folder in it is a bucket, each file an
//! object. It is s3s-fs behind one HTTP listener; the quickstart runs it where no `S3_ENDPOINT` is
//! given. It is for looking at, not for keeping: conditional writes are not atomic in it.
//!
//! `s3-folder FOLDER HOST:PORT`, keys from `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.

use compat_tests::Outcome;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .ok_or("usage: s3-folder FOLDER HOST:PORT")?;
    let address = arguments
        .next()
        .ok_or("usage: s3-folder FOLDER HOST:PORT")?;
    let access_key = std::env::var("AWS_ACCESS_KEY_ID")?;
    let secret_key = std::env::var("AWS_SECRET_ACCESS_KEY")?;
    let store = s3s_fs::FileSystem::new(&folder).map_err(|e| format!("opening {folder}: {e:?}"))?;
    let mut builder = S3ServiceBuilder::new(store);
    builder.set_auth(SimpleAuth::from_single(access_key, secret_key));
    let service = builder.build();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind(&address).await?;
            loop {
                let (socket, _) = listener.accept().await?;
                let service = service.clone();
                let serve = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                // A connection that breaks off concerns its client alone.
                drop(tokio::spawn(async move { drop(serve.await) }));
            }
        })
}
