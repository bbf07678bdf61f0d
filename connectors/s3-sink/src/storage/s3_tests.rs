//! What goes over the wire for each option, read by a server that writes down what it is asked.

use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;

use super::bucket::{Bucket, Mode};
use super::credentials::tests::{Asked, asked, serve};
use super::credentials::{Credentials, Source, Surroundings};
use super::http::Http;
use super::s3::S3Bucket;
use super::{Encryption, StoreSettings};

/// Answers every request of an upload in parts.
fn answers(line: &str) -> (u16, String) {
    match line {
        line if line.contains("uploads=") && line.starts_with("POST") => {
            (200, "<R><UploadId>id</UploadId></R>".to_owned())
        }
        line if line.contains("uploads=") => (
            200,
            "<R><Upload><Key>k&amp;1</Key><UploadId>u</UploadId></Upload></R>".to_owned(),
        ),
        line if line.contains("list-type=2") => (
            200,
            "<R><Contents><Key>t%2Bx</Key><Size>7</Size><ETag>&quot;e&quot;</ETag></Contents></R>"
                .to_owned(),
        ),
        _ => (200, String::new()),
    }
}

struct Wire {
    bucket: S3Bucket,
    log: Asked,
    runtime: Runtime,
}

fn wire(change: impl FnOnce(&mut StoreSettings)) -> Wire {
    let (url, log) = serve(answers);
    let mut settings = StoreSettings {
        bucket: "b".to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint: Some(url),
        credentials: Source::Static("AK".to_owned(), "SK".to_owned()),
        ..StoreSettings::default()
    };
    change(&mut settings);
    let http = Http::new(Duration::from_secs(20), settings.proxy.as_deref()).expect("a client");
    let around = Surroundings::real().expect("a client");
    let credentials = Credentials::new(settings.credentials.clone(), around);
    Wire {
        bucket: S3Bucket::new(&settings, http, credentials).expect("valid"),
        log,
        runtime: Runtime::new().expect("a runtime"),
    }
}

impl Wire {
    /// Uploads in parts and at once; gives the requests in lower case: begin, part, complete, put.
    fn upload(&self) -> Vec<String> {
        self.runtime.block_on(async {
            let bucket = &self.bucket;
            let id = bucket.begin("a b/k+1").await.expect("begun");
            let body = Bytes::from_static(b"hello");
            bucket
                .part("a b/k+1", &id, 0, body.clone().into())
                .await
                .expect("a part");
            let parts = ["e".to_owned()];
            bucket
                .complete("a b/k+1", &id, &parts, Mode::Create)
                .await
                .expect("complete");
            bucket
                .put("k", body.into(), Mode::Overwrite)
                .await
                .expect("put");
        });
        asked(&self.log)
            .into_iter()
            .map(|text| text.to_lowercase())
            .collect()
    }
}

/// Which of the requests have this in them.
fn having(requests: &[String], text: &str) -> Vec<usize> {
    (0..requests.len())
        .filter(|&index| requests[index].contains(text))
        .collect()
}

#[test]
fn requests_are_named_signed_and_conditional_as_they_should() {
    let requests = wire(|_| ()).upload();
    let firsts: Vec<&str> = requests
        .iter()
        .map(|request| request.lines().next().unwrap_or_default())
        .collect();
    assert_eq!(
        firsts,
        [
            "post /b/a%20b/k%2b1?uploads= http/1.1",
            "put /b/a%20b/k%2b1?partnumber=1&uploadid=id http/1.1",
            "post /b/a%20b/k%2b1?uploadid=id http/1.1",
            "put /b/k http/1.1",
        ]
    );
    assert_eq!(having(&requests, "credential=ak/").len(), 4);
    assert_eq!(having(&requests, "/eu-west-1/s3/aws4_request").len(), 4);
    assert_eq!(having(&requests, "if-none-match: *"), [2]);
    assert_eq!(having(&requests, "expect: 100-continue"), [1, 3]);
    assert_eq!(having(&requests, "binary/octet-stream"), [0, 3]);
    for absent in ["x-amz-acl", "x-amz-server-side", "content-md5"] {
        assert_eq!(having(&requests, absent), [] as [usize; 0], "{absent}");
    }
}

#[test]
fn a_body_of_several_chunks_goes_with_its_length_and_its_digest() {
    let wire = wire(|settings| settings.digest = true);
    let chunks = [Bytes::from_static(b"hel"), Bytes::from_static(b"lo")];
    let put = wire
        .bucket
        .put("k", chunks.into_iter().collect(), Mode::Overwrite);
    wire.runtime.block_on(put).expect("put");
    let request = &asked(&wire.log)[0];
    assert!(request.contains("content-length: 5\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nhello"), "{request}");
    // md5sum of "hello", in base64.
    assert!(request.contains("XUFAKrxLKna5cZ2REBfFkg=="), "{request}");
    assert!(!request.contains("transfer-encoding"), "{request}");
}

#[test]
fn options_show_in_the_requests_that_they_are_for() {
    let requests = wire(|settings| {
        settings.acl = Some("bucket-owner-full-control".to_owned());
        settings.digest = true;
        settings.expect_continue = false;
        settings.encryption = Encryption::Kms("key-1".to_owned());
    })
    .upload();
    assert_eq!(
        having(&requests, "x-amz-acl: bucket-owner-full-control"),
        [0, 3]
    );
    assert_eq!(
        having(&requests, "x-amz-server-side-encryption: aws:kms"),
        [0, 3]
    );
    assert_eq!(having(&requests, "aws-kms-key-id: key-1"), [0, 3]);
    assert_eq!(having(&requests, "content-md5: "), [1, 3]);
    assert_eq!(having(&requests, "expect:"), [] as [usize; 0]);
    // What is sent is signed.
    assert!(requests[0].contains("x-amz-acl;"), "{}", requests[0]);
    let requests = wire(|settings| settings.encryption = Encryption::S3).upload();
    assert_eq!(
        having(&requests, "x-amz-server-side-encryption: aes256"),
        [0, 3]
    );
}

#[test]
fn a_customers_key_goes_with_every_part() {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    let requests = wire(|settings| settings.encryption = Encryption::Customer(key)).upload();
    for header in [
        "customer-algorithm: aes256",
        "customer-key: ",
        "customer-key-md5: ",
    ] {
        assert_eq!(having(&requests, header), [0, 1, 3], "{header}");
    }
    let settings = StoreSettings {
        encryption: Encryption::Customer("short".to_owned()),
        ..StoreSettings::default()
    };
    let around = Surroundings::real().expect("a client");
    let http = around.http.clone();
    let credentials = Credentials::new(Source::Anonymous, around);
    let error = S3Bucket::new(&settings, http, credentials).expect_err("no key");
    assert!(error.message().contains("32-byte key"), "{error}");
}

#[test]
fn requests_go_through_the_proxy() {
    let (proxy, log) = serve(answers);
    let wire = wire(|settings| {
        settings.endpoint = Some("http://nowhere.invalid".to_owned());
        settings.proxy = Some(proxy.replace("http://", "http://user:word@"));
    });
    let put = wire
        .bucket
        .put("k", Bytes::from_static(b"x").into(), Mode::Overwrite);
    wire.runtime.block_on(put).expect("by the proxy");
    let request = asked(&log)[0].to_lowercase();
    assert!(
        request.starts_with("put http://nowhere.invalid/b/k "),
        "{request}"
    );
    assert!(request.contains("proxy-authorization: basic"), "{request}");
}

#[test]
fn anonymous_requests_are_not_signed() {
    let requests = wire(|settings| settings.credentials = Source::Anonymous).upload();
    assert_eq!(having(&requests, "authorization"), [] as [usize; 0]);
}

#[test]
fn listings_and_tags_are_read_and_written() {
    let wire = wire(|_| ());
    wire.runtime.block_on(async {
        let listed = wire.bucket.list("t").await.expect("listed");
        assert_eq!((listed[0].key.as_str(), listed[0].size), ("t+x", 7));
        let left = wire.bucket.unfinished("k").await.expect("listed");
        assert_eq!(left, [("k&1".to_owned(), "u".to_owned())]);
        let tags = [("a<".to_owned(), "1".to_owned())];
        wire.bucket.tag("k", &tags).await.expect("tagged");
        wire.bucket.check().await.expect("there");
        wire.bucket
            .get("k", Some((2, 10)))
            .await
            .expect("some bytes");
    });
    let requests = asked(&wire.log);
    assert!(requests[2].contains("<Tag><Key>a&lt;</Key><Value>1</Value></Tag>"));
    assert!(requests[2].starts_with("PUT /b/k?tagging= "));
    assert!(requests[3].starts_with("HEAD /b "));
    assert!(requests[4].to_lowercase().contains("range: bytes=2-9"));
}
