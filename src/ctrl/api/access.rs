//! Who may ask for what.
//!
//! | a request comes by | it may |
//! |---|---|
//! | the Unix socket | everything: who may open the socket may control the director |
//! | TCP with `client_ca` | everything: the handshake has refused all whose certificate is not of that authority |
//! | TCP with `token_file` | everything with `Authorization: Bearer TOKEN`, nothing else (401) |
//! | TCP with neither | read: GET and HEAD (403) |

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use super::complaints::complain;
use super::refusal::refuse;

/// What the requests of one listener may do.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// Everything.
    Full,
    /// Everything, by who knows the token.
    Token(Token),
    /// Look.
    Read,
}

/// A secret that is not printed.
#[derive(Clone)]
pub(super) struct Token(Arc<str>);

/// The shortest token: 96 bits in base 64.
const SHORTEST: usize = 16;

impl Token {
    /// Takes the one line of a token file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(text: &str) -> Result<Self, String> {
        let token = text.trim_end_matches(['\r', '\n']);
        if token.len() < SHORTEST {
            return Err(format!("the token has {} characters; at least {SHORTEST} are needed", token.len()));
        }
        if !token.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err("a token is one line of visible ASCII characters without blanks".to_owned());
        }
        Ok(Self(token.into()))
    }

    /// Tells whether the request bears it; in a time that does not depend on how much of it is right.
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let scheme = |text: &str| text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let only = given.next().filter(|_| given.next().is_none());
        let text = only.and_then(|value| value.to_str().ok()).filter(|text| scheme(text));
        text.is_some_and(|text| text.as_bytes()[7..].ct_eq(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Lets pass what may.
pub(super) async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    let refusal = match &access {
        Access::Full => None,
        Access::Token(token) if token.is_in(request.headers()) => None,
        Access::Token(_) => Some((StatusCode::UNAUTHORIZED, "the token is missing or wrong")),
        Access::Read if matches!(*request.method(), Method::GET | Method::HEAD) => None,
        Access::Read => {
            Some((StatusCode::FORBIDDEN, "this listener is for reading only: it has no token and no client_ca"))
        }
    };
    let Some((status, why)) = refusal else { return next.run(request).await };
    complain(format_args!("{} {} refused: {why}", request.method(), request.uri().path()));
    let mut response = refuse(status, why.to_owned());
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_of_sixteen_characters_at_least() {
        assert!(Token::of("0123456789abcdef\n").is_ok());
        assert!(Token::of("0123456789abcde\n").unwrap_err().contains("15 characters"));
        assert!(Token::of("0123456789 abcdef").unwrap_err().contains("blanks"));
        assert!(Token::of("0123456789abcdef\nx").is_err());
        assert_eq!(format!("{:?}", Token::of("0123456789abcdef").unwrap()), "Token(..)");
    }

    #[test]
    fn only_the_whole_token_in_one_header_is_right() {
        let token = Token::of("0123456789abcdef").unwrap();
        let bears = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            token.is_in(&headers)
        };
        assert!(bears(&["Bearer 0123456789abcdef"]));
        assert!(bears(&["bearer 0123456789abcdef"]));
        for wrong in
            ["Bearer 0123456789abcde", "Bearer 0123456789abcdeff", "Basic 0123456789abcdef", "0123456789abcdef", ""]
        {
            assert!(!bears(&[wrong]), "{wrong}");
        }
        assert!(!bears(&["Bearer x", "Bearer 0123456789abcdef"]));
        assert!(!bears(&[]));
    }
}
