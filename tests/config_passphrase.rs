//! Passphrases of SRT: where they come from, and that none is told.
#![allow(clippy::unwrap_used)]

use changeover::config::{Secret, explain};

mod config_text;
use config_text::{GROUP, TO, key, plan, problems, text};
mod process;

const PASSPHRASE: &str = "Tr0ub4dor&3=x%";

#[test]
fn passphrases_are_read_from_files_and_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let caller = "srt://10.0.0.1:9000";
    let said = |path: &std::path::Path| {
        problems(&text(caller, &format!("passphrase_file: {}", path.display()), TO, ""))
            .replace(&folder.path().display().to_string(), "DIR")
    };
    for (content, mode, message) in [
        (&b"correct horse"[..], 0o600, ""),
        (b"correct horse\n", 0o640, ""),
        (b"correct horse\n", 0o644, "6:26: warning: DIR/key can be read by everybody on this host: chmod o-r DIR/key"),
        (b"", 0o600, "6:26: error: `passphrase_file`: DIR/key is empty: it holds a passphrase of 10…79 bytes"),
        (b"short\n", 0o600, "6:26: error: `passphrase_file`: DIR/key: it has 5 bytes, and a passphrase has 10…79"),
        (&[b'x'; 80], 0o600, "6:26: error: `passphrase_file`: DIR/key: it has 80 bytes, and a passphrase has 10…79"),
        (&[b'x'; 79], 0o600, ""),
        (b"0123456789\0", 0o600, "6:26: error: `passphrase_file`: DIR/key: a passphrase cannot hold a byte of 0"),
        (b"0123456789\xff", 0o600, "6:26: error: `passphrase_file`: DIR/key is not UTF-8 text"),
        (
            b"0123456789\n0123456789\n",
            0o600,
            "6:26: error: `passphrase_file`: DIR/key has more than one line: it holds the passphrase and nothing else",
        ),
    ] {
        assert_eq!(said(&key(&folder, "key", content, mode)), message);
    }
    assert_eq!(
        said(&folder.path().join("none")),
        "6:26: error: `passphrase_file`: DIR/none: No such file or directory (os error 2)"
    );
    assert_eq!(said(folder.path()), "6:26: error: `passphrase_file`: DIR is not a file");
    let own_words = |below: &str| problems(&text(caller, below, TO, ""));
    assert_eq!(
        own_words("passphrase_file: correcthorse"),
        "6:26: error: `passphrase_file`: this is not the whole path of a file, as in /etc/changeover/news.key"
    );
    assert_eq!(
        own_words("passphrase_env: 'correct horse'"),
        "6:25: error: `passphrase_env`: this is not the name of an environment variable: letters, digits and `_`"
    );
    assert_eq!(
        own_words("passphrase_env: CHANGEOVER_TEST_THAT_NOBODY_SETS"),
        "6:25: error: `passphrase_env`: the environment variable of this name is not set"
    );
    let path = key(&folder, "key", b"correct horse", 0o600);
    assert_eq!(
        own_words(&format!("passphrase_file: {}\npassphrase_env: PATH", path.display())).lines().next().unwrap(),
        "7:25: error: `passphrase_env` and `passphrase_file` are both given: leave one out"
    );
    assert_eq!(
        problems(&text(GROUP, &format!("passphrase_file: {}", path.display()), TO, "")),
        "6:26: error: `passphrase_file` is for SRT, and the URL is not one of srt://"
    );
}

/// Whatever is done with a passphrase, no message, explanation or debug output tells it or a part of it.
#[test]
fn a_passphrase_is_never_told() {
    let escaped = "Tr0ub4dor%263=x%25";
    let folder = tempfile::tempdir().unwrap();
    let other = key(&folder, "key", b"battery staple", 0o600);
    let other = format!("passphrase_file: {}", other.display());
    let right = format!("srt://10.0.0.1:9000?latency=200ms&passphrase={escaped}&pbkeylen=16");
    let whole = text(&right, "", &format!("srt://10.0.0.2:9000?passphrase={escaped}"), "");
    let plan = plan(&whole);
    let channel = &plan.channels[0];
    assert_eq!(channel.inputs[0].srt.as_ref().unwrap().passphrase, Secret::new(PASSPHRASE));
    assert_eq!(channel.inputs[0].url, "srt://10.0.0.1:9000?latency=200ms&passphrase=…&pbkeylen=16");
    assert_eq!(channel.outputs[0].url, "srt://10.0.0.2:9000?passphrase=…");
    let warned = problems(&whole);
    assert_eq!(
        warned.lines().next().unwrap(),
        "5:14: warning: the passphrase stands in the URL, where whoever can read this file reads it: write it into a file \
         of its own, and name that with `passphrase_file`"
    );

    let mut told = vec![warned, explain(&plan), format!("{plan:?}")];
    let urls = [
        format!("srt://10.0.0.1:9000?passphrase={PASSPHRASE}"),
        format!("srt://10.0.0.1:9000?passphrase={PASSPHRASE}&latency=0s"),
        format!("srt://10.0.0.1?passphrase={escaped}"),
        format!("srt://10.0.0.1:9000&passphrase={escaped}"),
        format!("srt://10.0.0.1:9000/?x=1&passphrase={escaped}"),
        format!("srt://10.0.0.1:9000/x?passphrase={escaped}"),
        format!("srt://user:{escaped}@10.0.0.1:9000"),
        format!("srt:/10.0.0.1:9000?passphrase={escaped}"),
        format!("srtp://10.0.0.1:9000?passphrase={escaped}"),
        format!("udp://10.0.0.1:9000?passphrase={escaped}"),
        format!("10.0.0.1:9000?PASSPHRASE={escaped}"),
        format!("srt://10.0.0.1:9000?Passphrase={escaped}"),
        format!("srt://10.0.0.1:9000?passphrase={escaped}&passphrase={escaped}"),
        format!("srt://10.0.0.1:9000?passphrase={}", "Tr0ub4dor".repeat(9)),
        "srt://10.0.0.1:9000?passphrase=Tr0ub4d&r=r0ub4do".to_owned(),
        "srt://10.0.0.1:9000?passphrase=Tr0ub4dor%00xx".to_owned(),
        "srt://10.0.0.1:9000?passphrase=Tr0ub4d".to_owned(),
        "srt://10.0.0.1:9000?Tr0ub4dor".to_owned(),
    ];
    for url in &urls {
        let said = problems(&text(url, "", TO, ""));
        assert!(said.contains("error: "), "{url}: {said}");
        told.push(said);
    }
    told.push(problems(&text(&right, &other, TO, "")));
    assert!(told.last().unwrap().contains("6:26: error: this is another passphrase than that of the URL"));
    for below in ["passphrase: Tr0ub4dorxx", "passphrase_file: Tr0ub4dorxx", "passphrase_env: Tr0ub4dorxx"] {
        told.push(problems(&text("srt://:9000", below, TO, "")));
        told.push(problems(&text("srt://:9000", &format!("srt: {{access: [{{{below}}}]}}"), TO, "")));
    }
    for said in told {
        assert!(!said.contains("r0ub4d") && !said.contains("3=x"), "{said}");
        assert!(!said.contains("battery"), "{said}");
    }
}

/// The whole program, with the passphrase in its environment.
#[test]
fn check_takes_a_passphrase_from_the_environment_and_does_not_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = process::write(&folder, &text("srt://10.0.0.1:9000", "passphrase_env: NEWS_KEY", TO, ""));
    let check = |value: &str| {
        let output = process::changeover()
            .args(["check", "--explain", path.to_str().unwrap()])
            .env("NEWS_KEY", value)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (status, said) = check("correct horse");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("encrypted, key length that of the peer") && !said.contains("correct"), "{said}");
    let (status, said) = check("correct");
    assert_eq!(status, Some(78));
    assert!(said.contains("in the environment variable of this name, it has 7 bytes"), "{said}");
}
