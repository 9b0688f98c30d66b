//! What the crates show to programs: what their signatures name, what their docs say, how Java's names are found.

#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod java_names;
mod source;

use source::{Item, aliases, exports, items};

/// What signatures may name beside the crate's own exports.
const OF_THE_LANGUAGE: &[&str] = &[
    "Arc",
    "AsRef",
    "Box",
    "Default",
    "DoubleEndedIterator",
    "Duration",
    "Error",
    "ExitCode",
    "Fn",
    "FnOnce",
    "Future",
    "Into",
    "IntoIterator",
    "IpAddr",
    "Item",
    "Iterator",
    "None",
    "Option",
    "Output",
    "Path",
    "PathBuf",
    "Result",
    "Self",
    "Send",
    "SocketAddr",
    "Some",
    "String",
    "Sync",
    "Vec",
];

/// The items of the protocol crate that the client shows: those of the types that it exports.
fn shown_of_protocol() -> Vec<Item> {
    let exported = exports("rocketmq-client");
    let shown = |item: &Item| {
        // The readers that both kinds of message have come from a macro.
        item.owner == "content_readers" || exported.contains(&item.owner) || exported.contains(&item.name)
    };
    items("rocketmq-protocol").into_iter().filter(shown).collect()
}

#[test]
fn every_name_in_a_public_signature_is_exported() {
    let client = exports("rocketmq-client");
    let broker = exports("rocketmq-broker-lite");
    let of_client =
        items("rocketmq-client").into_iter().chain(shown_of_protocol()).map(|item| (item, &client));
    let of_broker = items("rocketmq-broker-lite").into_iter().map(|item| (item, &broker));
    let mut wrong = Vec::new();
    for (item, exported) in of_client.chain(of_broker) {
        // The type parameters that have whole words for names.
        let own = |name: &str| name == item.name || name == "Fut";
        let foreign = item.types().into_iter().filter(|name| {
            !own(name)
                && !exported.contains(*name)
                && !OF_THE_LANGUAGE.contains(name)
                && !is_variant(&item, name)
        });
        wrong.extend(foreign.map(|name| format!("{}: {} names {name}", item.place, item.name)));
    }
    assert!(wrong.is_empty(), "names that programs cannot write:\n{}", wrong.join("\n"));
}

/// The names of an enum's variants are its own.
fn is_variant(item: &Item, name: &str) -> bool {
    item.declaration.starts_with("pub enum")
        && [",", "(", " {", " =", " }"].iter().any(|end| item.declaration.contains(&format!(" {name}{end}")))
}

#[test]
fn programs_need_no_path_of_the_protocol_crate() {
    for item in items("rocketmq-client").into_iter().chain(items("rocketmq-broker-lite")) {
        assert!(!item.declaration.contains("rocketmq_protocol"), "{}: {}", item.place, item.declaration);
    }
}

#[test]
fn every_public_call_that_waits_says_what_dropping_it_leaves() {
    let all = ["rocketmq-client", "rocketmq-broker-lite"].into_iter().flat_map(items);
    let silent: Vec<_> = all
        .filter(|item| item.waits() && !item.docs.contains("# Cancel safety"))
        .map(|item| format!("{}: {}", item.place, item.name))
        .collect();
    assert!(silent.is_empty(), "without a section on cancel safety:\n{}", silent.join("\n"));
}

#[test]
fn every_public_call_that_can_fail_says_how() {
    let all = ["rocketmq-client", "rocketmq-broker-lite"].into_iter().flat_map(items);
    let silent: Vec<_> = all
        .filter(|item| {
            item.is_function() && item.declaration.contains("-> Result<") && !item.docs.contains("# Errors")
        })
        .map(|item| format!("{}: {}", item.place, item.name))
        .collect();
    assert!(silent.is_empty(), "without a section on errors:\n{}", silent.join("\n"));
}

/// Enums that Java has not grown in ten years, and settings, which programs write out with `..Default::default()`.
const COMPLETE: &[&str] = &["BrokerConfig", "FlushDiskType", "NamesrvConfig"];

#[test]
fn enums_and_results_can_grow() {
    let all: Vec<_> = ["rocketmq-client", "rocketmq-broker-lite"]
        .into_iter()
        .flat_map(items)
        .chain(shown_of_protocol())
        .filter(|item| !item.docs.contains("doc(hidden)"))
        .collect();
    let has_public_fields = |name: &str| all.iter().any(|item| item.owner == name && item.is_field());
    let grows = |item: &Item| {
        item.declaration.starts_with("pub enum ")
            || (item.declaration.starts_with("pub struct ") && has_public_fields(&item.name))
    };
    let closed: Vec<_> = all
        .iter()
        .filter(|item| grows(item) && !item.docs.contains("#[non_exhaustive]"))
        .filter(|item| !COMPLETE.contains(&&*item.name))
        .map(|item| format!("{}: {}", item.place, item.name))
        .collect();
    assert!(closed.is_empty(), "not #[non_exhaustive]:\n{}", closed.join("\n"));
}

#[test]
fn every_java_spelling_of_what_is_built_finds_it() {
    let aliases =
        aliases(&["rocketmq-client/src", "rocketmq-protocol/src/message", "rocketmq-protocol/src/body"]);
    let lost: Vec<_> = java_names::BUILT
        .iter()
        .flat_map(|(class, names)| names.iter().map(move |name| (class, *name)))
        .filter(|(_, name)| !java_names::SPELT_ALIKE.contains(name) && !aliases.contains(*name))
        .map(|(class, name)| format!("{class}.{name}"))
        .collect();
    assert!(lost.is_empty(), "no #[doc(alias)] for:\n{}", lost.join("\n"));
}

/// A method without a Java name is either ours, and listed as such, or its alias was forgotten.
#[test]
fn every_public_method_has_its_java_spelling_or_is_ours() {
    let shown = items("rocketmq-client").into_iter().chain(shown_of_protocol());
    let methods = shown.filter(|item| item.is_function() && !item.owner.is_empty());
    let nameless: Vec<_> = methods
        .filter(|item| !item.docs.contains("doc(alias") && !java_names::SPELT_ALIKE.contains(&&*item.name))
        .map(|item| (item.place, format!("{}::{}", item.owner, item.name)))
        .filter(|(_, name)| !java_names::OURS.contains(&&**name))
        .map(|(place, name)| format!("{place}: {name}"))
        .collect();
    assert!(nameless.is_empty(), "neither a #[doc(alias)] nor listed as ours:\n{}", nameless.join("\n"));
}
