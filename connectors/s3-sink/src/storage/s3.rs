//! The S3 API, as far as the sink uses it: one request per method, signed, not retried.
//!
//! Answers for the requests of AWS's SDK as Confluent's sink makes them: the ACL and the encryption
//! go with what begins an object, a customer's key with every part, tags in a request of their own.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hyper::http::header::CONTENT_LENGTH;
use hyper::http::{HeaderName, HeaderValue, Method};
use md5::{Digest, Md5};
use object_store::client::HttpRequestBody;

use super::bucket::{Bucket, Mode, PutPayload, StoreError, Stored};
use super::credentials::Credentials;
use super::http::{Answer, Http, elements, encode, escape, request, sign, tag};
use super::{Encryption, StoreSettings};

/// A bucket behind the S3 API.
#[derive(Debug)]
pub(crate) struct S3Bucket {
    http: Http,
    credentials: Credentials,
    /// Scheme, host and, with path style, the bucket; ends without a slash.
    base: String,
    region: String,
    acl: Option<String>,
    encryption: Encryption,
    /// Base64 of the MD5 of a customer's key.
    customer_key_md5: String,
    digest: bool,
    expect_continue: bool,
}

/// What a request is for, which decides about its headers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Begins an object: carries its ACL and encryption.
    Create,
    /// Carries content of an object that has begun.
    Content,
    Other,
}

/// The URL of the bucket.
pub(crate) fn base_url(settings: &StoreSettings) -> String {
    let bucket = &settings.bucket;
    let suffix = match settings.region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    };
    let endpoint = match &settings.endpoint {
        Some(endpoint) => endpoint.clone(),
        None if settings.accelerate => return format!("https://{bucket}.s3-accelerate.{suffix}"),
        None => format!("https://s3.{}.{suffix}", settings.region),
    };
    match (settings.path_style, endpoint.split_once("://")) {
        (false, Some((scheme, host))) => format!("{scheme}://{bucket}.{host}"),
        _ => format!("{endpoint}/{bucket}"),
    }
}

impl S3Bucket {
    /// # Errors
    /// The HTTP client cannot be set up; a customer's key is none.
    pub(crate) fn new(
        settings: &StoreSettings,
        http: Http,
        credentials: Credentials,
    ) -> connect_api::Result<Self> {
        let customer_key_md5 = match &settings.encryption {
            Encryption::Customer(key) => {
                let bytes = BASE64
                    .decode(key.trim())
                    .ok()
                    .filter(|bytes| bytes.len() == 32);
                let bytes = bytes.ok_or_else(|| {
                    connect_api::Error::config(
                        "s3.sse.customer.key: sseCustomerKey must be a valid base64-encoded 32-byte key",
                    )
                })?;
                BASE64.encode(Md5::digest(bytes))
            }
            _ => String::new(),
        };
        Ok(Self {
            http,
            credentials,
            base: base_url(settings),
            region: settings.region.clone(),
            acl: settings.acl.clone(),
            encryption: settings.encryption.clone(),
            customer_key_md5,
            digest: settings.digest,
            expect_continue: settings.expect_continue,
        })
    }

    fn headers(&self, purpose: Purpose, body: &PutPayload) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if purpose == Purpose::Create {
            if let Some(acl) = &self.acl {
                headers.push(("x-amz-acl", acl.clone()));
            }
            match &self.encryption {
                Encryption::S3 => {
                    headers.push(("x-amz-server-side-encryption", "AES256".to_owned()));
                }
                Encryption::Kms(key) => {
                    headers.push(("x-amz-server-side-encryption", "aws:kms".to_owned()));
                    headers.push(("x-amz-server-side-encryption-aws-kms-key-id", key.clone()));
                }
                Encryption::BucketDefault | Encryption::Customer(_) => {}
            }
            headers.push(("content-type", "binary/octet-stream".to_owned()));
        }
        if purpose != Purpose::Other {
            if let Encryption::Customer(key) = &self.encryption {
                headers.push((
                    "x-amz-server-side-encryption-customer-algorithm",
                    "AES256".to_owned(),
                ));
                headers.push((
                    "x-amz-server-side-encryption-customer-key",
                    key.trim().to_owned(),
                ));
                headers.push((
                    "x-amz-server-side-encryption-customer-key-md5",
                    self.customer_key_md5.clone(),
                ));
            }
            if self.digest && body.content_length() > 0 {
                headers.push(("content-md5", BASE64.encode(md5(body))));
            }
        }
        headers
    }

    /// Sends a signed request; `query` is already encoded.
    async fn send(
        &self,
        method: Method,
        key: &str,
        query: &str,
        body: PutPayload,
        headers: Vec<(&'static str, String)>,
    ) -> Result<Answer, StoreError> {
        let mut url = self.base.clone();
        if !key.is_empty() {
            url.push('/');
            url.push_str(&encode(key, true));
        }
        if !query.is_empty() {
            url.push('?');
            url.push_str(query);
        }
        let length = body.content_length();
        let expects = self.expect_continue && method == Method::PUT && length > 0;
        let body = match body.as_ref() {
            [] => HttpRequestBody::empty(),
            [one] => one.clone().into(),
            _ => body.into(),
        };
        // A body of several chunks does not tell its length by itself.
        let is_chunked = body.as_bytes().is_none();
        let mut request = request(method, &url, body)?;
        for (name, value) in headers {
            let value = HeaderValue::from_str(&value).map_err(|error| StoreError {
                status: Some(400),
                code: None,
                text: format!("header {name}: {error}"),
            })?;
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
        if let Some(credential) = self.credentials.get().await? {
            // The content is covered by TLS, or by its digest where one is sent.
            sign(&mut request, &credential, "s3", &self.region, false)?;
        }
        if is_chunked {
            let headers = request.headers_mut();
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if expects {
            // Not part of the signature: proxies may take it away.
            let value = HeaderValue::from_static("100-continue");
            request.headers_mut().insert("expect", value);
        }
        let answer = self.http.send(request).await?.good();
        if let Err(error) = &answer
            && error.is_expired()
        {
            self.credentials.forget().await;
        }
        answer
    }
}

/// The MD5 of a body, chunk by chunk.
pub(super) fn md5(body: &PutPayload) -> [u8; 16] {
    let mut digest = Md5::new();
    for chunk in body {
        digest.update(chunk);
    }
    digest.finalize().into()
}

fn etag(answer: &Answer) -> String {
    answer.header("etag").trim_matches('"').to_owned()
}

fn create_only(headers: &mut Vec<(&'static str, String)>, mode: Mode) {
    if mode == Mode::Create {
        headers.push(("if-none-match", "*".to_owned()));
    }
}

/// An answer of 200 may still hold an error: S3 has answered before it was done.
fn late_error(answer: &Answer) -> Result<(), StoreError> {
    let text = answer.text();
    match text.contains("<Error>") {
        false => Ok(()),
        true => Err(StoreError {
            status: Some(500),
            code: tag(&text, "Code"),
            text: format!(
                "{}: {}",
                tag(&text, "Code").unwrap_or_default(),
                tag(&text, "Message").unwrap_or_default()
            ),
        }),
    }
}

#[async_trait]
impl Bucket for S3Bucket {
    async fn check(&self) -> Result<(), StoreError> {
        self.send(Method::HEAD, "", "", PutPayload::new(), Vec::new())
            .await
            .map(|_| ())
    }

    async fn put(&self, key: &str, body: PutPayload, mode: Mode) -> Result<String, StoreError> {
        let mut headers = self.headers(Purpose::Create, &body);
        create_only(&mut headers, mode);
        let answer = self.send(Method::PUT, key, "", body, headers).await?;
        Ok(etag(&answer))
    }

    async fn begin(&self, key: &str) -> Result<String, StoreError> {
        let body = PutPayload::new();
        let headers = self.headers(Purpose::Create, &body);
        let answer = self
            .send(Method::POST, key, "uploads=", body, headers)
            .await?;
        tag(&answer.text(), "UploadId").ok_or_else(|| StoreError {
            status: Some(500),
            code: None,
            text: format!("no upload id in the answer: {}", answer.text()),
        })
    }

    async fn part(
        &self,
        key: &str,
        id: &str,
        number: usize,
        body: PutPayload,
    ) -> Result<String, StoreError> {
        let query = format!("partNumber={}&uploadId={}", number + 1, encode(id, false));
        let headers = self.headers(Purpose::Content, &body);
        let answer = self.send(Method::PUT, key, &query, body, headers).await?;
        Ok(etag(&answer))
    }

    async fn complete(
        &self,
        key: &str,
        id: &str,
        parts: &[String],
        mode: Mode,
    ) -> Result<(), StoreError> {
        let mut body = String::from("<CompleteMultipartUpload>");
        for (index, etag) in parts.iter().enumerate() {
            body.push_str(&format!(
                "<Part><PartNumber>{}</PartNumber><ETag>\"{}\"</ETag></Part>",
                index + 1,
                escape(etag)
            ));
        }
        body.push_str("</CompleteMultipartUpload>");
        let mut headers = vec![("content-type", "application/xml".to_owned())];
        create_only(&mut headers, mode);
        let query = format!("uploadId={}", encode(id, false));
        let answer = self
            .send(Method::POST, key, &query, body.into(), headers)
            .await?;
        late_error(&answer)
    }

    async fn abort(&self, key: &str, id: &str) -> Result<(), StoreError> {
        let query = format!("uploadId={}", encode(id, false));
        self.send(Method::DELETE, key, &query, PutPayload::new(), Vec::new())
            .await
            .map(|_| ())
    }

    async fn head(&self, key: &str) -> Result<Stored, StoreError> {
        let headers = match self.encryption {
            Encryption::Customer(_) => self.headers(Purpose::Content, &PutPayload::new()),
            _ => Vec::new(),
        };
        let answer = self
            .send(Method::HEAD, key, "", PutPayload::new(), headers)
            .await?;
        Ok(Stored {
            key: key.to_owned(),
            size: answer.header("content-length").parse().unwrap_or(0),
            etag: etag(&answer),
        })
    }

    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Bytes, StoreError> {
        let mut headers = match self.encryption {
            Encryption::Customer(_) => self.headers(Purpose::Content, &PutPayload::new()),
            _ => Vec::new(),
        };
        if let Some((start, end)) = range {
            headers.push(("range", format!("bytes={start}-{}", end.saturating_sub(1))));
        }
        let answer = self
            .send(Method::GET, key, "", PutPayload::new(), headers)
            .await?;
        Ok(answer.body)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Stored>, StoreError> {
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let mut query = format!(
                "encoding-type=url&list-type=2&prefix={}",
                encode(prefix, false)
            );
            if !token.is_empty() {
                query.push_str(&format!("&continuation-token={}", encode(&token, false)));
            }
            let answer = self
                .send(Method::GET, "", &query, PutPayload::new(), Vec::new())
                .await?
                .text();
            for entry in elements(&answer, "Contents") {
                found.push(Stored {
                    key: decode(&tag(entry, "Key").unwrap_or_default()),
                    size: tag(entry, "Size")
                        .and_then(|size| size.parse().ok())
                        .unwrap_or(0),
                    etag: tag(entry, "ETag")
                        .unwrap_or_default()
                        .trim_matches('"')
                        .to_owned(),
                });
            }
            match tag(&answer, "NextContinuationToken") {
                Some(next) if next != token => token = next,
                _ => return Ok(found),
            }
        }
    }

    async fn tag(&self, key: &str, tags: &[(String, String)]) -> Result<(), StoreError> {
        let mut body = String::from("<Tagging><TagSet>");
        for (name, value) in tags {
            body.push_str(&format!(
                "<Tag><Key>{}</Key><Value>{}</Value></Tag>",
                escape(name),
                escape(value)
            ));
        }
        body.push_str("</TagSet></Tagging>");
        let body = PutPayload::from(body);
        let headers = vec![
            ("content-type", "application/xml".to_owned()),
            ("content-md5", BASE64.encode(md5(&body))),
        ];
        self.send(Method::PUT, key, "tagging=", body, headers)
            .await
            .map(|_| ())
    }

    async fn unfinished(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        let mut found = Vec::new();
        let mut marker: Option<(String, String)> = None;
        loop {
            let mut query = format!("prefix={}&uploads=", encode(prefix, false));
            if let Some((key, id)) = &marker {
                query = format!(
                    "key-marker={}&prefix={}&upload-id-marker={}&uploads=",
                    encode(key, false),
                    encode(prefix, false),
                    encode(id, false)
                );
            }
            let answer = self
                .send(Method::GET, "", &query, PutPayload::new(), Vec::new())
                .await?
                .text();
            for entry in elements(&answer, "Upload") {
                if let (Some(key), Some(id)) = (tag(entry, "Key"), tag(entry, "UploadId")) {
                    found.push((key, id));
                }
            }
            if tag(&answer, "IsTruncated").as_deref() != Some("true") {
                return Ok(found);
            }
            let next = (
                tag(&answer, "NextKeyMarker").unwrap_or_default(),
                tag(&answer, "NextUploadIdMarker").unwrap_or_default(),
            );
            if marker.as_ref() == Some(&next) {
                return Ok(found);
            }
            marker = Some(next);
        }
    }
}

/// Undoes the encoding of names in a listing.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = [bytes.next(), bytes.next()];
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                if let (Some(high), Some(low)) = (digit(hex[0]), digit(hex[1])) {
                    out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_stands_in_the_path_or_in_the_host() {
        let settings = |endpoint: Option<&str>, path_style, accelerate, region: &str| {
            base_url(&StoreSettings {
                bucket: "b".to_owned(),
                region: region.to_owned(),
                endpoint: endpoint.map(ToOwned::to_owned),
                path_style,
                accelerate,
                ..StoreSettings::default()
            })
        };
        let local = Some("http://s3.local:9000");
        assert_eq!(
            settings(local, true, false, "eu-west-1"),
            "http://s3.local:9000/b"
        );
        assert_eq!(
            settings(local, false, false, "eu-west-1"),
            "http://b.s3.local:9000"
        );
        assert_eq!(
            settings(None, true, false, "eu-west-1"),
            "https://s3.eu-west-1.amazonaws.com/b"
        );
        assert_eq!(
            settings(None, false, false, "cn-north-1"),
            "https://b.s3.cn-north-1.amazonaws.com.cn"
        );
        assert_eq!(
            settings(None, false, true, "eu-west-1"),
            "https://b.s3-accelerate.amazonaws.com"
        );
    }

    #[test]
    fn names_in_listings_are_decoded() {
        assert_eq!(decode("t/p%3D0/a%2B0+b"), "t/p=0/a+0 b");
    }

    #[test]
    fn an_error_may_stand_in_a_good_answer() {
        let answer = Answer {
            status: 200,
            headers: hyper::http::HeaderMap::new(),
            body: Bytes::from_static(
                b"<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>",
            ),
        };
        let error = late_error(&answer).expect_err("an error");
        assert_eq!(error.code.as_deref(), Some("InternalError"));
    }
}
