//! `lychgate demo`: a gateway that needs nothing, with a token and lines to paste.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use lychgate_core::UserId;

use super::serve::until_stopped;
use super::{argument, print};
use crate::api::OperatorKey;
use crate::app::Ready;
use crate::auth::jwt;
use crate::config::{Argument, Sources, load};
use crate::error::Error;

const USER: &str = "demo";
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// What the programs that ask the admin listener read the key from.
const KEY_VARIABLE: &str = "LYCHGATE_KEY";
const API_KEY: &str = "OPENAI_API_KEY";

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Port on 127.0.0.1; 0 takes any free one
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Answer with an OpenAI-compatible endpoint (openai=URL, with OPENAI_API_KEY if it is set) or an AG-UI agent
    /// (agui=URL) instead of the demo agent
    #[arg(long, value_name = "KIND=URL")]
    agent: Option<String>,
    /// The model to ask an OpenAI-compatible endpoint for
    #[arg(long, default_value = "default", requires = "agent")]
    model: String,
}

/// Runs on the defaults alone: neither a file nor the environment can make a demo fail. Only the API key is taken from
/// the environment.
pub(super) fn run(args: DemoArgs) -> Result<(), Error> {
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| Error::System { what: "no random numbers", source: std::io::Error::other(error) })?;
    let mut arguments = vec![
        argument("--port", "server.listen", format!("127.0.0.1:{}", args.port)),
        argument("--port", "server.admin_listen", "127.0.0.1:0"),
        argument("demo", "server.environment", "development"),
        argument("demo", "journal.kind", "memory"),
        // Whoever has the token is the user whose name anybody may log in under.
        argument("demo", "auth.shared_users", "true"),
        argument("demo", "auth.jwt.secret", STANDARD.encode(secret)),
    ];
    let environment: BTreeMap<_, _> =
        std::env::var_os(API_KEY).filter(|key| !key.is_empty()).map(|key| (API_KEY.into(), key)).into_iter().collect();
    let key = OperatorKey::generate()
        .map_err(|error| Error::System { what: "no random numbers", source: std::io::Error::other(error) })?;
    arguments.push(argument("demo", "admin.keys.demo.hash", key.hash()));
    arguments.push(argument("demo", "admin.keys.demo.role", "write"));
    if let Some(agent) = &args.agent {
        arguments.extend(agent_keys(agent, &args.model, !environment.is_empty())?);
    }
    let sources = Sources { file: None, environment, arguments, is_demo: true };
    let user = UserId::parse(USER).map_err(|error| Error::Failed(error.to_string()))?;
    let secret = load(sources.clone())?.check()?.auth.jwt;
    let secret = secret.ok_or_else(|| Error::Failed("the demo has no secret".to_owned()))?;
    let token = jwt::mint(&secret, &user, TOKEN_LIFETIME).map_err(Error::Failed)?;
    let program = std::env::current_exe().map_or_else(|_| "lychgate".to_owned(), |path| path.display().to_string());
    until_stopped(sources, |ready| {
        // A closed pipe does not end a gateway that others may be using.
        let _ = print(&how_to_try(ready, &token, key.reveal(), &program));
    })
}

/// The keys that make this agent, such as `agui=http://127.0.0.1:8000/agent`, the default one.
fn agent_keys(agent: &str, model: &str, has_key: bool) -> Result<Vec<Argument>, Error> {
    let said = |key: &str, value: &str| argument("--agent", key, value);
    let mut arguments = match agent.split_once('=') {
        Some(("openai", url)) => vec![
            said("agents.given.kind", "openai"),
            said("agents.given.base_url", url),
            argument("--model", "agents.given.model", model),
        ],
        Some(("agui", url)) => vec![said("agents.given.kind", "agui"), said("agents.given.url", url)],
        Some(_) | None => {
            return Err(Error::Usage(format!(
                "--agent {agent:?} is not understood; write --agent openai=http://127.0.0.1:11434/v1 \
                 or --agent agui=http://127.0.0.1:8000/agent"
            )));
        }
    };
    // The key is OpenAI's; no other agent must see it.
    if has_key && agent.starts_with("openai=") {
        arguments.push(said("agents.given.api_key_env", API_KEY));
    }
    arguments.push(said("agents.default", "given"));
    Ok(arguments)
}

/// What a person reads first: where it listens, a token, and three ways to talk to it.
fn how_to_try(ready: Ready, token: &str, key: &str, program: &str) -> String {
    let url = format!("ws://{}/v1/ws", ready.listen);
    let admin = format!("http://{}", ready.admin);
    let frames = r#"{"type":"hello"} {"type":"open","thread":"t1"} {"type":"run","thread":"t1","run":"r1","input":{"messages":[{"id":"u1","role":"user","content":"hello"}]}}"#;
    let script = format!(
        r#"const w=new(require("ws"))("{url}","lychgate.v1",{{headers:{{authorization:"Bearer "+process.env.TOKEN}}}}),id=crypto.randomUUID();w.on("open",()=>[{{type:"hello"}},{{type:"open",thread:"t1"}},{{type:"run",thread:"t1",run:id,input:{{messages:[{{id,role:"user",content:"hello"}}]}}}}].forEach(f=>w.send(JSON.stringify(f)))).on("message",m=>console.log(String(m)))"#
    );
    let mut text = String::new();
    let _ = writeln!(text, "Lychgate is ready: {url}   health and metrics: {admin}/metrics\n");
    let _ = writeln!(
        text,
        "In a browser, under any name and without a password (for this demonstration and this machine alone): http://{}/\n\
         The console, with the key below ({KEY_VARIABLE}): {admin}/console\n",
        ready.listen
    );
    let _ = writeln!(text, "A token for the user {USER:?}, valid for a day:\n\nexport TOKEN={token}\n");
    let _ = writeln!(text, "Chat in a terminal:\n\n{program} chat --url {url} --token \"$TOKEN\" hello\n");
    let _ = writeln!(
        text,
        "With websocat; then paste the frames, one per line:\n\nwebsocat --protocol lychgate.v1 -H \"Authorization: Bearer $TOKEN\" {url}"
    );
    for frame in frames.split(' ') {
        let _ = writeln!(text, "{frame}");
    }
    let _ = writeln!(
        text,
        "\nWhat operators see (docs/admin.md):\n\nexport {KEY_VARIABLE}={key}\n{program} explain --admin {admin}\n{program} doctor --admin {admin}\n\
         curl -H \"Authorization: Bearer $LYCHGATE_KEY\" {admin}/v1/admin/sessions"
    );
    let _ = writeln!(text, "\nWith Node.js (npm install ws):\n\nnode -e '{script}'\n\nCtrl-C ends it.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_to_paste_name_address_and_token() {
        let ready = Ready { listen: "127.0.0.1:4711".parse().unwrap(), admin: "127.0.0.1:4712".parse().unwrap() };
        let text = how_to_try(ready, "a.b.c", "lychgate_k", "lychgate");
        assert!(text.contains("export TOKEN=a.b.c\n"), "{text}");
        assert!(text.contains("lychgate chat --url ws://127.0.0.1:4711/v1/ws"), "{text}");
        assert!(text.contains("http://127.0.0.1:4712/metrics"), "{text}");
        assert_eq!(text.matches("a.b.c").count(), 1, "{text}");
        // `explain` and `doctor` read the key from there.
        assert!(text.contains("export LYCHGATE_KEY=lychgate_k\n"), "{text}");
        for line in ["lychgate explain", "lychgate doctor"] {
            assert!(text.contains(&format!("\n{line} --admin http://127.0.0.1:4712\n")), "{text}");
        }
        for line in text.lines().filter(|line| line.starts_with('{')) {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn an_agent_that_is_not_understood_says_how_it_is_written() {
        for agent in ["ollama", "ollama=http://127.0.0.1:1/", ""] {
            let error = agent_keys(agent, "m", false).unwrap_err();
            assert!(error.to_string().contains("--agent openai=http"), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn a_named_agent_becomes_the_default_one() {
        for (agent, has_key, kind) in [
            ("openai=http://127.0.0.1:4010/v1", false, "OpenAi"),
            ("openai=http://127.0.0.1:4010/v1", true, "OpenAi"),
            ("agui=http://127.0.0.1:8000/agent?a=b", true, "Agui"),
        ] {
            let arguments = agent_keys(agent, "m", has_key).unwrap();
            let sources = Sources {
                environment: [(API_KEY.into(), "sk-x".into())].into(),
                arguments: [arguments, vec![argument("demo", "auth.jwt.secret", "x".repeat(32))]].concat(),
                ..Sources::default()
            };
            let agents = load(sources).unwrap().check().unwrap().agents;
            let default = format!("{:?}", agents.named[&agents.default].kind);
            assert!(default.starts_with(kind), "{default}");
            assert_eq!(default.contains("api_key: Some"), has_key && kind == "OpenAi", "{default}");
        }
    }
}
