//! From what a provider says of a user, verified, to the user here: who he is, whether he may come in, plan and groups.

use lychgate_core::UserId;
use serde_json::{Map, Value};

use super::{LoginError, Vouched};
use crate::config;

/// The longest name of a plan or group that is looked at, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// The most groups that are kept of one user.
const MAX_GROUPS: usize = 256;

/// What was said of a user.
pub(super) type Claims = Map<String, Value>;

/// The claims that the configuration asks for and that are not there; a provider may have more to say elsewhere.
#[cfg(feature = "oidc")]
pub(super) fn is_anything_missing(provider: &config::Provider, claims: &Claims) -> bool {
    let by_email = has_mail_list(provider) || provider.user_claim == "email";
    let wanted = [
        Some(provider.user_claim.as_str()),
        by_email.then_some("email"),
        provider.groups_claim.as_deref(),
        provider.plan_claim.as_deref(),
    ];
    wanted.into_iter().flatten().any(|claim| !claims.contains_key(claim))
}

/// The user of these claims.
///
/// # Errors
/// [`LoginError::NotAllowed`], [`LoginError::BadUser`], or [`LoginError::Rejected`] where a claim is missing.
pub(super) fn visitor(name: &str, provider: &config::Provider, claims: &Claims) -> Result<Vouched, LoginError> {
    admit(provider, claims)?;
    let claim = &provider.user_claim;
    // An address that nobody verified may be anybody's: it must not become a user id.
    let is_proven = claim != "email" || is_verified(claims);
    let own = text(claims, claim).filter(|_| is_proven);
    let own = own.ok_or_else(|| LoginError::Rejected(format!("there is no usable claim {claim:?}")))?;
    Ok(Vouched {
        user: UserId::parse(&format!("{}{own}", provider.user_prefix)).map_err(LoginError::BadUser)?,
        provider: name.into(),
        plan: provider.plan_claim.as_ref().and_then(|claim| short(text(claims, claim)?)),
        groups: provider.groups_claim.as_ref().map(|claim| groups(claims, claim)).unwrap_or_default(),
    })
}

fn admit(provider: &config::Provider, claims: &Claims) -> Result<(), LoginError> {
    let is_in = |list: &[String], found: &str| list.iter().any(|known| known.eq_ignore_ascii_case(found));
    let domain = text(claims, "hd");
    if !provider.allowed_domains.is_empty() && !domain.is_some_and(|domain| is_in(&provider.allowed_domains, domain)) {
        return Err(LoginError::NotAllowed("its organisation (hd) is not in allowed_domains".to_owned()));
    }
    if !has_mail_list(provider) {
        return Ok(());
    }
    match text(claims, "email") {
        None => Err(LoginError::NotAllowed("the provider names no address (email)".to_owned())),
        Some(_) if !is_verified(claims) => {
            Err(LoginError::NotAllowed("the provider has not verified its address (email_verified)".to_owned()))
        }
        Some(email) if is_in(&provider.allowed_emails, email) => Ok(()),
        Some(email) => match email.rsplit_once('@') {
            Some((_, domain)) if is_in(&provider.allowed_email_domains, domain) => Ok(()),
            Some(_) | None => {
                Err(LoginError::NotAllowed("its address is in neither allowed_emails nor allowed_email_domains".into()))
            }
        },
    }
}

fn has_mail_list(provider: &config::Provider) -> bool {
    !(provider.allowed_emails.is_empty() && provider.allowed_email_domains.is_empty())
}

/// Some providers write the truth as text.
fn is_verified(claims: &Claims) -> bool {
    match claims.get("email_verified") {
        Some(Value::Bool(is)) => *is,
        Some(Value::String(text)) => text == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

fn text<'a>(claims: &'a Claims, claim: &str) -> Option<&'a str> {
    claims.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn short(name: &str) -> Option<Box<str>> {
    (!name.is_empty() && name.len() <= MAX_NAME_BYTES).then(|| name.into())
}

fn groups(claims: &Claims, claim: &str) -> Vec<Box<str>> {
    match claims.get(claim) {
        Some(Value::String(one)) => short(one).into_iter().collect(),
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).filter_map(short).take(MAX_GROUPS).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider(keys: &str) -> config::Provider {
        let text = format!(
            "server.public_url = 'https://chat.example.org'\nauth.shared_users = true\nauth.jwt.secret = '{}'\n[login.providers.p]\n\
             issuer_url = 'https://issuer.example'\nclient_id = 'c'\n{keys}",
            "s".repeat(32)
        );
        config::Config::from_toml(&text).unwrap().login.providers.remove("p").unwrap()
    }

    fn claims(value: Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    fn enters(keys: &str, value: Value) -> Result<Vouched, LoginError> {
        visitor("p", &provider(keys), &claims(value))
    }

    #[test]
    fn a_subject_of_google_is_the_user_id_as_it_is() {
        let visitor = enters("", json!({"sub": "105945141827451681156"})).unwrap();
        assert_eq!(visitor.user.as_str(), "105945141827451681156");
        assert_eq!((visitor.plan, visitor.groups), (None, vec![]));
    }

    #[test]
    fn a_prefix_keeps_the_users_of_two_providers_apart() {
        let visitor = enters("user_prefix = 'p:'", json!({"sub": "1"})).unwrap();
        assert_eq!(visitor.user.as_str(), "p:1");
    }

    #[test]
    fn a_subject_that_is_no_user_id_is_refused() {
        for sub in [json!("a\u{0}b"), json!("x".repeat(10_000))] {
            assert!(matches!(enters("", json!({"sub": sub})), Err(LoginError::BadUser(_))));
        }
        for sub in [json!(7), json!(""), json!(null), json!(["a"])] {
            assert!(matches!(enters("", json!({"sub": sub})), Err(LoginError::Rejected(_))));
        }
    }

    #[test]
    fn an_address_is_a_user_id_only_once_it_is_verified() {
        let keys = "user_claim = 'email'";
        let visitor = enters(keys, json!({"sub": "1", "email": "ann@example.org", "email_verified": true})).unwrap();
        assert_eq!(visitor.user.as_str(), "ann@example.org");
        for verified in [json!(false), json!("false"), json!(null), json!(1)] {
            let said = json!({"sub": "1", "email": "ann@example.org", "email_verified": verified});
            assert!(matches!(enters(keys, said), Err(LoginError::Rejected(_))));
        }
    }

    #[test]
    fn only_the_organisations_on_the_list_come_in() {
        let keys = "allowed_domains = ['example.org']";
        assert!(enters(keys, json!({"sub": "1", "hd": "Example.org"})).is_ok());
        for said in [json!({"sub": "1"}), json!({"sub": "1", "hd": "evil.example"}), json!({"sub": "1", "hd": true})] {
            assert!(matches!(enters(keys, said), Err(LoginError::NotAllowed(_))));
        }
    }

    #[test]
    fn only_verified_addresses_on_the_lists_come_in() {
        let keys = "allowed_emails = ['ann@else.example']\nallowed_email_domains = ['example.org']";
        let enters = |email: &str, verified: Value| {
            enters(keys, json!({"sub": "1", "email": email, "email_verified": verified})).is_ok()
        };
        assert!(enters("bob@example.org", json!(true)) && enters("Ann@Else.example", json!("true")));
        assert!(!enters("bob@example.org", json!(false)) && !enters("bob@else.example", json!(true)));
        assert!(!enters("bob@evilexample.org", json!(true)) && !enters("bob@example.org@evil.example", json!(true)));
        assert!(!enters("", json!(true)) && !enters("example.org", json!(true)));
    }

    #[test]
    fn plan_and_groups_come_from_the_claims_that_are_named() {
        let keys = "plan_claim = 'tier'\ngroups_claim = 'roles'";
        let said = json!({"sub": "1", "tier": "gold", "roles": ["staff", 7, "", "admins"]});
        let visitor = enters(keys, said).unwrap();
        assert_eq!(visitor.plan.as_deref(), Some("gold"));
        assert_eq!(visitor.groups, ["staff", "admins"].map(Box::<str>::from));
        let visitor = enters(keys, json!({"sub": "1", "tier": 7, "roles": "staff"})).unwrap();
        assert_eq!((visitor.plan, visitor.groups), (None, vec!["staff".into()]), "a plan of another type is none");
    }
}
