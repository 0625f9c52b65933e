//! The file as a whole: the node, the API and the channels, and how they stand to each other.

use std::net::SocketAddr;

use super::channel::{self, Channel};
use super::cross;
use super::plan::{NodePlan, Plan};
use super::problem::{Place, Report, quoted};
use super::table::{Table, free_text, plain_name};
use super::yaml::{self, Data, Node};

const KEYS: [&str; 3] = ["node", "api", "channels"];
const DEFAULT_API: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// Reads a file.
pub(super) fn plan(text: &str, report: &mut Report) -> Option<Plan> {
    let Some(root) = yaml::read(text, report) else {
        if !report.has_errors() {
            report.error(Place::FILE, "the file is empty: it needs `channels` with at least one channel");
        }
        return None;
    };
    let table = Table::open(&root, "the file", &KEYS, report)?;
    let node = node(&table, report);
    let api = api(&table, report);
    let list = table.list("channels", report);
    if list.is_empty() && table.node("channels").is_none_or(|node| matches!(node.data, Data::List(_))) {
        report.error(
            table.node("channels").map_or(root.place, |node| node.place),
            "there is no channel: `channels` is a list with one or more",
        );
    }
    let channels: Vec<Channel> = list.iter().filter_map(|node| channel::channel(node, report)).collect();
    cross::check(&channels, report);
    let channels = channels.into_iter().map(Channel::plan).collect::<Option<Vec<_>>>()?;
    Some(Plan { node, api, channels })
}

fn node(table: &Table<'_>, report: &mut Report) -> NodePlan {
    let table = table.table("node", &["name", "domain"], report);
    NodePlan {
        name: table.value("name", plain_name, report).unwrap_or_else(host_name),
        domain: table.value("domain", free_text, report),
    }
}

/// The name of this host, which is what it is called where the file gives no name.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "changeover".to_owned() } else { name.to_owned() }
}

fn api(table: &Table<'_>, report: &mut Report) -> Option<SocketAddr> {
    match table.node("api") {
        Some(Node { data: Data::Scalar(text), .. }) if text == "off" => None,
        Some(Node { data: Data::Scalar(text), place }) => {
            report.error(*place, format!("`api` is `off` or a mapping with `listen`, not {}", quoted(text)));
            None
        }
        Some(_) | None => {
            let table = table.table("api", &["listen"], report);
            if table.node("listen").is_none() {
                return Some(DEFAULT_API);
            }
            table.value("listen", listen, report).flatten()
        }
    }
}

fn listen(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    let Ok(address) = text.parse::<SocketAddr>() else {
        return Err(format!("{} is not an address with a port, as in {DEFAULT_API}", quoted(text)));
    };
    if address.port() == 0 {
        return Err(format!("{} has no port: port 0 is any port, which nobody would find", quoted(text)));
    }
    if !address.ip().to_canonical().is_loopback() {
        return Err(format!(
            "{} is not a loopback address, and this version serves the API without a password to this host alone: \
             write {DEFAULT_API}",
            quoted(text)
        ));
    }
    Ok(Some(address))
}
