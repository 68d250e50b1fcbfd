//! Roles, passwords and databases.

use tokio_postgres::{Config, NoTls};

use crate::{
    process::{Process, directory},
    raw::{Raw, message, startup, text},
};

/// Connects with a driver; answers the SQLSTATE of a refusal.
fn connect(process: &Process, user: &str, password: Option<&str>) -> Result<(), String> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(process.sql.port()).user(user).dbname("postgres");
    if let Some(password) = password {
        config.password(password);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = config
            .connect(NoTls)
            .await
            .map_err(|error| error.code().map_or_else(|| error.to_string(), |state| state.code().to_owned()))?;
        let driver = tokio::spawn(connection);
        client.simple_query("select 1").await.expect("it is answered");
        drop(client);
        driver.await.expect("no panic").map_err(|error| error.to_string())
    })
}

fn refused(state: &str) -> Result<(), String> {
    Err(state.to_owned())
}

#[test]
fn without_passwords_clients_on_this_machine_are_trusted() {
    let process = Process::start();
    assert_eq!(connect(&process, "postgres", None), Ok(()));
    assert_eq!(connect(&process, "postgres", Some("whatever")), Ok(()));
    assert_eq!(connect(&process, "nobody", None), refused("28000"));
    let mut raw = Raw::session(process.sql);
    raw.query("create role group_only nologin");
    assert_eq!(connect(&process, "group_only", None), refused("28000"));
}

#[test]
fn databases_must_exist() {
    let process = Process::start();
    let mut raw = Raw::connect(process.sql);
    raw.send(&startup(3 << 16, b"user\0postgres\0database\0nowhere\0\0"));
    let answers = raw.until_end();
    assert_eq!(answers.last().expect("an answer").error(), ("FATAL".to_owned(), "3D000".to_owned()));
}

#[test]
fn bad_settings_in_the_startup_packet_are_refused() {
    let process = Process::start();
    for (setting, state) in [(&b"work_mem\0lots\0"[..], "22023"), (b"no_such_setting\x001\0", "42704")] {
        let mut raw = Raw::connect(process.sql);
        raw.send(&startup(3 << 16, &[b"user\0postgres\0", setting, b"\0"].concat()));
        assert_eq!(raw.until_end().last().expect("an answer").error().1, state);
    }
    let mut raw = Raw::connect(process.sql);
    raw.send(&startup(3 << 16, b"user\0postgres\0options\0-c work_mem=3MB --application_name=a\\ b\0\0"));
    raw.until_ready();
    assert_eq!(super::server::value(&raw.query("show work_mem")).as_deref(), Some("3MB"));
    assert_eq!(super::server::value(&raw.query("show application_name")).as_deref(), Some("a b"));
}

#[test]
fn once_a_role_has_a_password_everybody_needs_one() {
    let process = Process::start();
    let mut raw = Raw::session(process.sql);
    for sql in [
        "create role owner login superuser password 'secr\u{e9}t'",
        "create role unable nologin password 'secret'",
        "create role bare login",
    ] {
        super::server::done(&raw.query(sql));
    }
    assert_eq!(connect(&process, "owner", Some("secr\u{e9}t")), Ok(()));
    assert_eq!(connect(&process, "owner", Some("secret")), refused("28P01"));
    assert_eq!(connect(&process, "unable", Some("secret")), refused("28000"));
    // Those without a password, and those that do not exist, are told the same.
    for user in ["bare", "postgres", "nobody"] {
        assert_eq!(connect(&process, user, Some("secret")), refused("28P01"), "{user}");
    }
    // A session that was there before goes on, and can let others in.
    super::server::done(&raw.query("alter role postgres password 'mine'"));
    assert_eq!(connect(&process, "postgres", Some("mine")), Ok(()));
    super::server::done(&raw.query("alter role postgres password null"));
    assert_eq!(connect(&process, "postgres", Some("mine")), refused("28P01"));
}

#[test]
fn passwords_are_kept_over_a_restart_and_can_be_waived() {
    let process = Process::start();
    super::server::done(&Raw::session(process.sql).query("create role owner login superuser password 'secret'"));
    process.signal("TERM");
    let (status, directory) = process.wait();
    assert!(status.success());
    let process = Process::start_with(directory, &[]);
    assert_eq!(connect(&process, "owner", Some("secret")), Ok(()));
    assert!(connect(&process, "postgres", None).is_err());
    process.signal("TERM");
    let (_, directory) = process.wait();
    // Whoever runs the server can get in again.
    let process = Process::start_with(directory, &["--auth", "trust"]);
    assert_eq!(connect(&process, "postgres", None), Ok(()));
}

#[test]
fn passwords_can_be_demanded_from_the_start() {
    let process = Process::start_with(directory(), &["--auth", "password"]);
    assert_eq!(connect(&process, "postgres", Some("any")), refused("28P01"));
}

#[test]
fn an_exchange_that_makes_no_sense_is_refused() {
    let process = Process::start_with(directory(), &["--auth", "password"]);
    let sasl = |mechanism: &str, data: &[u8]| {
        message(b'p', &[&text(mechanism)[..], &(data.len() as u32).to_be_bytes(), data].concat())
    };
    let cases = [
        message(b'Q', &text("select 1")),
        message(b'p', b""),
        message(b'p', b"SCRAM-SHA-256\0\xff\xff"),
        message(b'p', b"SCRAM-SHA-256\0\x7f\xff\xff\xffx"),
        sasl("SCRAM-SHA-1", b"n,,n=,r=abc"),
        sasl("SCRAM-SHA-256", b"p=tls-unique,,n=,r=abc"),
        sasl("SCRAM-SHA-256", b"\xff\xfe"),
        sasl("SCRAM-SHA-256", &[b'x'; 60_000]),
        [&b"p"[..], &100_000_u32.to_be_bytes()].concat(),
        [sasl("SCRAM-SHA-256", b"n,,n=,r=abc"), message(b'p', b"c=biws,r=other,p=AAAA")].concat(),
    ];
    for case in cases {
        let mut raw = Raw::connect(process.sql);
        raw.send(&startup(3 << 16, b"user\0postgres\0\0"));
        raw.send(&case);
        let answers = raw.until_end();
        assert_eq!(answers.last().expect("an answer").error(), ("FATAL".to_owned(), "08P01".to_owned()), "{case:?}");
    }
    // A client may leave in the middle.
    let mut raw = Raw::connect(process.sql);
    raw.send_last(&startup(3 << 16, b"user\0postgres\0\0"));
    assert_eq!(raw.until_end().iter().filter(|answer| answer.tag == b'E').count(), 0);
}
