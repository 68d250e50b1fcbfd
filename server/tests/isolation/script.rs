//! Running a case: sessions side by side, one step at a time.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A step that has not answered after this long counts as blocked. Generous: a slow machine must not look like a wait.
const BLOCKED_AFTER: Duration = Duration::from_millis(1500);
/// How long a blocked step is given to go on after each later step.
const SETTLE: Duration = Duration::from_millis(400);

/// A case.
pub(crate) struct Script {
    steps: Vec<(String, String)>,
}

impl Script {
    /// Reads `session> statement` lines; `#` starts a comment.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let steps = lines
            .map(|line| {
                let (session, statement) = line.split_once("> ").expect("a step is `session> statement`");
                (session.to_owned(), statement.to_owned())
            })
            .collect();
        Self { steps }
    }
}

struct Session {
    statements: mpsc::UnboundedSender<(String, oneshot::Sender<String>)>,
    blocked: Option<oneshot::Receiver<String>>,
}

/// Runs a case on a fresh table and answers what each step showed.
pub(crate) fn run(script: &Script, address: &str, with: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let setup = connect(address).await;
        let schema = format!("isolation_{:08x}", rand::random::<u32>());
        let table = format!("create table test (id int primary key, value int){with}");
        for statement in [
            format!("create schema {schema}"),
            format!("set search_path = {schema}"),
            table,
            "insert into test (id, value) values (1, 10), (2, 20)".to_owned(),
        ] {
            setup.simple_query(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        let shown = run_steps(script, address, &schema).await;
        setup.simple_query(&format!("drop schema {schema} cascade")).await.expect("the schema can be dropped");
        shown
    })
}

async fn run_steps(script: &Script, address: &str, schema: &str) -> String {
    let mut sessions: BTreeMap<&str, Session> = BTreeMap::new();
    let mut shown = String::new();
    for (name, statement) in &script.steps {
        if !sessions.contains_key(name.as_str()) {
            sessions.insert(name, open(address, schema).await);
        }
        let session = sessions.get_mut(name.as_str()).expect("the session is open");
        if let Some(answer) = session.blocked.take() {
            let answer = answer.await.expect("a blocked step answers in the end");
            writeln!(shown, "  {name} goes on -> {answer}").expect("text");
        }
        let (answer, mut answered) = oneshot::channel();
        session.statements.send((statement.clone(), answer)).expect("the session lives");
        match timeout(BLOCKED_AFTER, &mut answered).await {
            Ok(answer) => {
                let answer = answer.expect("a step answers");
                writeln!(shown, "{name}> {statement} -> {answer}").expect("text");
            }
            Err(_) => {
                writeln!(shown, "{name}> {statement} -> blocked").expect("text");
                session.blocked = Some(answered);
            }
        }
        show_unblocked(&mut sessions, &mut shown).await;
    }
    shown
}

async fn show_unblocked(sessions: &mut BTreeMap<&str, Session>, shown: &mut String) {
    for (name, session) in sessions {
        let Some(mut answer) = session.blocked.take() else { continue };
        match timeout(SETTLE, &mut answer).await {
            Ok(answer) => writeln!(shown, "  {name} goes on -> {}", answer.expect("a step answers")).expect("text"),
            Err(_) => session.blocked = Some(answer),
        }
    }
}

async fn open(address: &str, schema: &str) -> Session {
    let client = connect(address).await;
    client.simple_query(&format!("set search_path = {schema}")).await.expect("the search path can be set");
    let (statements, mut queue) = mpsc::unbounded_channel::<(String, oneshot::Sender<String>)>();
    tokio::spawn(async move {
        while let Some((statement, answer)) = queue.recv().await {
            let shown = show(client.simple_query(&statement).await);
            let _gone = answer.send(shown);
        }
    });
    Session { statements, blocked: None }
}

async fn connect(address: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

fn show(result: Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>) -> String {
    let messages = match result {
        Ok(messages) => messages,
        Err(error) => {
            return match error.code() {
                Some(code) => format!("error {}", code.code()),
                None => format!("lost connection: {error}"),
            };
        }
    };
    let mut rows = Vec::new();
    let mut count = 0;
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                let values: Vec<&str> = (0..row.len()).map(|i| row.get(i).unwrap_or("null")).collect();
                rows.push(format!("({})", values.join(", ")));
            }
            SimpleQueryMessage::CommandComplete(n) => count = n,
            _ => {}
        }
    }
    if rows.is_empty() { format!("ok {count}") } else { rows.join(" ") }
}
