//! Media types as requests name them: what a body is, and what answers are accepted.
//!
//! Pure. Answers for Jersey's `MediaTypeProvider` and `AcceptableMediaType`.

use axum::http::{HeaderMap, HeaderName, header};

/// A media type or a range of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaType {
    kind: String,
    subtype: String,
    /// As they were written, in order.
    parameters: Vec<(String, String)>,
}

/// A header that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl MediaType {
    /// Reads `type/subtype;name=value`. A range may leave the subtype out.
    fn parse(text: &str, range: bool) -> Result<Self, Malformed> {
        let mut parts = text.split(';');
        let essence = parts.next().unwrap_or_default().trim();
        let (kind, subtype) = match essence.split_once('/') {
            Some(pair) => pair,
            None if range => (essence, "*"),
            None => return Err(Malformed),
        };
        if !is_token(kind) || !is_token(subtype) {
            return Err(Malformed);
        }
        let mut parameters = Vec::new();
        for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(Malformed)?;
            let value = value.trim().trim_matches('"');
            if !is_token(name.trim()) {
                return Err(Malformed);
            }
            if name.trim() == "q" {
                let quality: f64 = value.parse().map_err(|_| Malformed)?;
                if !(0.0..=1.0).contains(&quality) {
                    return Err(Malformed);
                }
            }
            parameters.push((name.trim().to_lowercase(), value.to_owned()));
        }
        Ok(Self {
            kind: kind.to_lowercase(),
            subtype: subtype.to_lowercase(),
            parameters,
        })
    }

    /// Type and subtype, in lower case.
    pub(super) fn essence(&self) -> (&str, &str) {
        (&self.kind, &self.subtype)
    }

    /// Whether either covers `kind/subtype`.
    pub(super) fn covers(&self, kind: &str, subtype: &str) -> bool {
        self.kind == "*" || (self.kind == kind && (self.subtype == "*" || self.subtype == subtype))
    }

    /// Whether it stands for more than one type.
    pub(super) fn is_range(&self) -> bool {
        self.kind == "*" || self.subtype == "*"
    }

    fn quality(&self) -> f64 {
        self.parameters
            .iter()
            .find(|(name, _)| name == "q")
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(1.0)
    }

    /// As a header shows it; `quality`: with its `q`.
    pub(super) fn text(&self, quality: bool) -> String {
        let mut text = format!("{}/{}", self.kind, self.subtype);
        for (name, value) in &self.parameters {
            if quality || name != "q" {
                text.push_str(&format!(";{name}={value}"));
            }
        }
        text
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn texts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
}

/// What a body is said to be; `None` where nothing is said.
pub(super) fn content_type(headers: &HeaderMap) -> Result<Option<MediaType>, Malformed> {
    texts(headers, header::CONTENT_TYPE)
        .next()
        .map(|text| MediaType::parse(text, false))
        .transpose()
}

/// What answers are accepted, the best first; empty where nothing is said.
pub(super) fn accepted(headers: &HeaderMap) -> Result<Vec<MediaType>, Malformed> {
    let mut accepted = texts(headers, header::ACCEPT)
        .flat_map(|text| text.split(','))
        .filter(|item| !item.trim().is_empty())
        .map(|item| MediaType::parse(item, true))
        .collect::<Result<Vec<_>, _>>()?;
    // Stable: of equals the first counts.
    accepted.sort_by(|a, b| b.quality().total_cmp(&a.quality()));
    Ok(accepted)
}

/// What of a list can be read though it is malformed; `None` where there is none.
pub(super) fn accepted_leniently(headers: &HeaderMap) -> Option<Vec<MediaType>> {
    headers.contains_key(header::ACCEPT).then(|| {
        texts(headers, header::ACCEPT)
            .flat_map(|text| text.split(','))
            .filter(|item| {
                let quality = item
                    .split(';')
                    .find_map(|part| part.trim().strip_prefix("q="));
                quality.is_none_or(|quality| quality.parse::<f64>().is_ok())
            })
            .filter_map(|item| {
                MediaType::parse(item.split(';').next().unwrap_or_default(), true).ok()
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn accept(text: &str) -> Result<Vec<String>, Malformed> {
        let headers = HeaderMap::from_iter([(
            header::ACCEPT,
            HeaderValue::from_str(text).expect("a header"),
        )]);
        accepted(&headers).map(|types| types.iter().map(|known| known.text(true)).collect())
    }

    #[test]
    fn what_is_accepted_is_ordered_by_quality() {
        assert_eq!(
            accept("text/html;q=0.5, Application/JSON; charset=utf-8, *;q=.2"),
            Ok(vec![
                "application/json;charset=utf-8".to_owned(),
                "text/html;q=0.5".to_owned(),
                "*/*;q=.2".to_owned()
            ])
        );
        assert_eq!(accept(""), Ok(Vec::new()));
        assert_eq!(accept("garbage"), Ok(vec!["garbage/*".to_owned()]));
    }

    #[test]
    fn what_is_no_media_type_is_malformed() {
        for text in ["application/", "/", "a/b/c", "a/b;q=2", "a/b;q=x", "a/b;x"] {
            assert_eq!(accept(text), Err(Malformed), "{text}");
        }
        assert_eq!(MediaType::parse("garbage", false), Err(Malformed));
        assert!(MediaType::parse("application/json;", false).is_ok());
    }
}
