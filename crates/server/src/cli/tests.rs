use clap::CommandFactory;

use super::*;

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_quickstart_is_understood() {
    for line in [
        "lychgate serve",
        "lychgate serve --config a.toml --listen 127.0.0.1:0 --data /var/lib/lychgate",
        "lychgate demo --port 0 --agent openai=http://127.0.0.1:4010/v1 --model m",
        "lychgate token --user 105945141827451681156 --expires 1h",
        "lychgate token --user ann --secret 0123456789abcdef0123456789abcdef",
        "lychgate admin-key ops",
        "lychgate admin-key backend --role write",
        "lychgate config --config a.toml",
        "lychgate config --reference",
        "lychgate check-config",
        "lychgate threads list",
        "lychgate threads list --user ann --limit 5 --json --data /var/lib/lychgate",
        "lychgate threads show ann t1 --config a.toml",
        "lychgate threads export",
        "lychgate threads export --user ann t1",
        "lychgate threads delete ann t1 --yes --force",
        "lychgate threads delete --user ann",
        "lychgate explain",
        "lychgate explain 105945141827451681156 --admin http://10.0.0.7:8788 --key-file /run/secrets/key",
        "lychgate explain ann --follow --json --key-env OPS_KEY",
        "lychgate explain --follow --all --limit 5",
        "lychgate doctor",
        "lychgate doctor --config a.toml --json",
        "lychgate doctor --admin http://10.0.0.7:8788 --url wss://chat.example.org",
        "lychgate cluster status",
        "lychgate cluster status --admin http://10.0.0.7:8788 --json --key-env OPS_KEY",
        "lychgate chat --token t hello there",
        "lychgate chat --url ws://127.0.0.1:8787/v1/ws --token t --thread t1",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_exit_code_2() {
    for line in [
        "lychgate",
        "lychgate srve",
        "lychgate serve --lisen x",
        "lychgate token",
        "lychgate token --user a --expires soon",
        "lychgate admin-key",
        "lychgate admin-key ops --role root",
        "lychgate explain ann bob",
        "lychgate explain --key lychgate_x",
        "lychgate explain --limit 0",
        "lychgate doctor --config a.toml --admin http://h",
        "lychgate cluster",
        "lychgate threads",
        "lychgate threads export t1",
        "lychgate threads delete",
        "lychgate threads delete ann",
        "lychgate threads delete ann t1 --user bob",
    ] {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn a_closed_pipe_is_an_end_and_not_a_failure() {
    let error = output_error(io::ErrorKind::BrokenPipe.into());
    assert!(matches!(error, Error::OutputClosed));
    assert_eq!(error.exit_code(), 0);
}
