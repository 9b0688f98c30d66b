//! What a broker can be told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use super::rule::{Addresses, DelayLevels, Directory, Flag, Flush, Host, Ip, Millis, Name, Seconds, Whole};
use super::setting::settings;
use crate::delay::levels::DEFAULT_DELAY_LEVELS;

const JAVA_INT_MAX: i64 = 0x7FFF_FFFF;

/// When a message counts as stored. Java: `FlushDiskType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FlushDiskType {
    /// When the kernel has it: it survives the end of the process, not that of the machine. Java: `ASYNC_FLUSH`.
    #[default]
    AsyncFlush,
    /// When the disk has it. Java: `SYNC_FLUSH`.
    SyncFlush,
}

impl FlushDiskType {
    /// Java's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AsyncFlush => "ASYNC_FLUSH",
            Self::SyncFlush => "SYNC_FLUSH",
        }
    }
}

/// What a broker can be told. `Default` has Java's values, but for three that suit embedding: it listens on a free port
/// of the loopback address, and it has no store directory, which must be given.
///
/// Times are milliseconds in a properties file, unless said otherwise.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    // Who it is.
    /// The name servers: `host:port`, several joined by `;`. Empty: the broker registers nowhere. Default empty;
    /// `mqbroker`: the environment's `NAMESRV_ADDR`. Java: `namesrvAddr`.
    pub namesrv_addr: String,
    /// The cluster it belongs to, at most 127 bytes. Default `DefaultCluster`. Java: `brokerClusterName`.
    pub broker_cluster_name: String,
    /// Its name, at most 127 bytes. Default: the host's name. Java: `brokerName`.
    pub broker_name: String,
    /// Its number among the brokers of that name. Only 0, the master, is supported. Java: `brokerId`.
    pub broker_id: i64,
    /// The host that clients are told to connect to. Default: the address that it listens on, or, if that is every
    /// address, the one by which this machine reaches others. Java: `brokerIP1`.
    pub broker_ip1: Option<String>,

    // Where it listens.
    /// The address to listen on. Default 127.0.0.1; `mqbroker`: 0.0.0.0. Java: `bindAddress`.
    pub bind_address: IpAddr,
    /// The port to listen on; 0 takes a free one. Default 0; `mqbroker`: 10911. Java: `listenPort`.
    pub listen_port: u16,
    /// How long a client's connection may be idle. Default 120 s, at least 1 s. Java: `serverChannelMaxIdleTimeSeconds`,
    /// in seconds.
    pub server_channel_max_idle_time: Duration,
    /// How many connections there may be. Default 10,000. Java has no limit: `maxConnections` is ours.
    pub max_connections: usize,
    /// How many bytes are held on behalf of one client: answers that wait to be written, and held pulls. Over it its pulls are
    /// answered 2 (busy) and its requests wait. Default 16 MiB, from 64 KiB. `maxHeldBytesPerConnection` is ours.
    pub max_held_bytes_per_connection: usize,
    /// How many bytes are held on behalf of all clients, large frames that are being read included. Once it is full, only
    /// clients that hold less than their share are served. Default 256 MiB, from 1 MiB. `maxHeldBytes` is ours.
    pub max_held_bytes: usize,
    /// The longest frame in bytes. Default 16 MiB, from 64 KiB to 1 GiB. Java: the system property
    /// `com.rocketmq.remoting.frameMaxLength`; as a property of the file, `maxFrameBytes` is ours.
    pub max_frame_bytes: usize,

    // Topics and groups.
    /// What clients may do here: 2 send, 4 consume, 6 both. Default 6. Java: `brokerPermission`.
    pub broker_permission: i32,
    /// The most queues that a topic gets when it is made on its first message. Default 8. Java: `defaultTopicQueueNums`.
    pub default_topic_queue_nums: i32,
    /// Whether a topic is made on its first message. Default true. Java: `autoCreateTopicEnable`.
    pub auto_create_topic_enable: bool,
    /// Whether a group is made on its first request. Default true. Java: `autoCreateSubscriptionGroup`.
    pub auto_create_subscription_group: bool,
    /// Whether the topic with the cluster's name can be used and inherited from. Default true. Java:
    /// `clusterTopicEnable`.
    pub cluster_topic_enable: bool,
    /// Whether the topic with the broker's name can be used. Default true. Java: `brokerTopicEnable`.
    pub broker_topic_enable: bool,
    /// The region that send answers name. Default `DefaultRegion`. Java: `regionId`.
    pub region_id: String,
    /// Whether send answers tell clients to trace. Default true. Java: `traceOn`.
    pub trace_on: bool,

    // Pulling.
    /// Whether a pull that finds nothing waits here for a message. Default true. Java: `longPollingEnable`.
    pub long_polling_enable: bool,
    /// How long it waits if not. Default 1 s. Java: `shortPollingTimeMills`.
    pub short_polling_time_mills: Duration,
    /// The most bytes of one pull from memory. Default 256 KiB. Java: `maxTransferBytesOnMessageInMemory`.
    pub max_transfer_bytes_on_message_in_memory: usize,
    /// The most messages of one pull from memory. Default 32. Java: `maxTransferCountOnMessageInMemory`.
    pub max_transfer_count_on_message_in_memory: usize,
    /// The most bytes of one pull from disk. Default 64 KiB. Java: `maxTransferBytesOnMessageInDisk`.
    pub max_transfer_bytes_on_message_in_disk: usize,
    /// The most messages of one pull from disk. Default 8. Java: `maxTransferCountOnMessageInDisk`.
    pub max_transfer_count_on_message_in_disk: usize,
    /// Whether consumers are told when their group changes. Default true. Java: `notifyConsumerIdsChangedEnable`.
    pub notify_consumer_ids_changed_enable: bool,

    // What it does regularly.
    /// How often it registers at the name servers. Default 30 s, at most 60 s. Java: `registerNameServerPeriod`.
    pub register_name_server_period: Duration,
    /// How long a name server may take to answer. Default 6 s. Java: `registerBrokerTimeoutMills`.
    pub register_broker_timeout_mills: Duration,
    /// How often committed offsets are written to disk. Default 5 s. Java: `flushConsumerOffsetInterval`.
    pub flush_consumer_offset_interval: Duration,
    /// How often the progress of the delay levels is written to disk. Default 10 s. Java: `flushDelayOffsetInterval`.
    pub flush_delay_offset_interval: Duration,

    // The store.
    /// The directory of all its files; made if it is missing. No default; `mqbroker`: `~/store`. Java:
    /// `storePathRootDir`.
    pub store_path_root_dir: PathBuf,
    /// The longest message body in bytes. Default 4 MiB. Java: `maxMessageSize`.
    pub max_message_size: usize,
    /// When a message counts as stored. Default `AsyncFlush`. Java: `flushDiskType`.
    pub flush_disk_type: FlushDiskType,
    /// How often the log is flushed in the background. Default 500 ms. Java: `flushIntervalCommitLog`.
    pub flush_interval_commit_log: Duration,
    /// A background flush waits for so many pages of 4 KiB. Default 4. Java: `flushCommitLogLeastPages`.
    pub flush_commit_log_least_pages: u32,
    /// After this time a background flush takes what there is. Default 10 s. Java: `flushCommitLogThoroughInterval`.
    pub flush_commit_log_thorough_interval: Duration,
    /// How often consume queues are flushed. Default 1 s. Java: `flushIntervalConsumeQueue`.
    pub flush_interval_consume_queue: Duration,
    /// How long a producer waits for the disk before it is told of a timeout. Default 5 s. Java: `syncFlushTimeout`.
    pub sync_flush_timeout: Duration,
    /// The bytes of one commit log file. Default 1 GiB, at least 4 KiB. A message must fit. Java:
    /// `mappedFileSizeCommitLog`.
    pub mapped_file_size_commit_log: u64,
    /// The bytes of one consume queue file, 20 a message. Default 6,000,000. Java: `mappedFileSizeConsumeQueue`.
    pub mapped_file_size_consume_queue: u64,
    /// A log that is damaged before its end is cut there, as Java's broker does, and what lies behind is kept in the
    /// directory `damaged` of the store. Otherwise the broker does not start. Default false. Not in Java.
    pub truncate_damaged_log: bool,
    /// Messages are refused when more of the disk is used, in per cent; 100 refuses only when a write fails. Default 90, and
    /// `TestCluster` 100. Java: `diskSpaceWarningLevelRatio`.
    pub disk_space_warning_level_ratio: u32,
    /// The delay levels: times with a unit (s, m, h, d), from level 1 on. Default `1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m
    /// 9m 10m 20m 30m 1h 2h`. Java: `messageDelayLevel`.
    pub message_delay_level: String,
}

settings! { BrokerConfig {
    "namesrvAddr" => namesrv_addr: Addresses,
    "brokerClusterName" => broker_cluster_name: Name(127),
    "brokerName" => broker_name: Name(127),
    "brokerId" => broker_id: Whole(0..=0),
    "brokerIP1" => broker_ip1: Host,
    "bindAddress" => bind_address: Ip,
    "listenPort" => listen_port: Whole(0..=65_535),
    "serverChannelMaxIdleTimeSeconds" => server_channel_max_idle_time: Seconds(1..=86_400),
    "maxConnections" => max_connections: Whole(1..=1_000_000),
    "maxHeldBytesPerConnection" => max_held_bytes_per_connection: Whole(65_536..=JAVA_INT_MAX),
    "maxHeldBytes" => max_held_bytes: Whole(1_048_576..=1_099_511_627_776),
    "maxFrameBytes" => max_frame_bytes: Whole(65_536..=1_073_741_824),
    "brokerPermission" => broker_permission: Whole(0..=7),
    "defaultTopicQueueNums" => default_topic_queue_nums: Whole(1..=65_536),
    "autoCreateTopicEnable" => auto_create_topic_enable: Flag,
    "autoCreateSubscriptionGroup" => auto_create_subscription_group: Flag,
    "clusterTopicEnable" => cluster_topic_enable: Flag,
    "brokerTopicEnable" => broker_topic_enable: Flag,
    "regionId" => region_id: Name(127),
    "traceOn" => trace_on: Flag,
    "longPollingEnable" => long_polling_enable: Flag,
    "shortPollingTimeMills" => short_polling_time_mills: Millis(1..=3_600_000),
    "maxTransferBytesOnMessageInMemory" => max_transfer_bytes_on_message_in_memory: Whole(1..=JAVA_INT_MAX),
    "maxTransferCountOnMessageInMemory" => max_transfer_count_on_message_in_memory: Whole(1..=JAVA_INT_MAX),
    "maxTransferBytesOnMessageInDisk" => max_transfer_bytes_on_message_in_disk: Whole(1..=JAVA_INT_MAX),
    "maxTransferCountOnMessageInDisk" => max_transfer_count_on_message_in_disk: Whole(1..=JAVA_INT_MAX),
    "notifyConsumerIdsChangedEnable" => notify_consumer_ids_changed_enable: Flag,
    "registerNameServerPeriod" => register_name_server_period: Millis(1..=60_000),
    "registerBrokerTimeoutMills" => register_broker_timeout_mills: Millis(1..=3_600_000),
    "flushConsumerOffsetInterval" => flush_consumer_offset_interval: Millis(1..=3_600_000),
    "flushDelayOffsetInterval" => flush_delay_offset_interval: Millis(1..=3_600_000),
    "storePathRootDir" => store_path_root_dir: Directory,
    "maxMessageSize" => max_message_size: Whole(1..=536_870_912),
    "flushDiskType" => flush_disk_type: Flush,
    "flushIntervalCommitLog" => flush_interval_commit_log: Millis(1..=3_600_000),
    "flushCommitLogLeastPages" => flush_commit_log_least_pages: Whole(0..=1_048_576),
    "flushCommitLogThoroughInterval" => flush_commit_log_thorough_interval: Millis(0..=3_600_000),
    "flushIntervalConsumeQueue" => flush_interval_consume_queue: Millis(1..=3_600_000),
    "syncFlushTimeout" => sync_flush_timeout: Millis(1..=3_600_000),
    "mappedFileSizeCommitLog" => mapped_file_size_commit_log: Whole(4_096..=JAVA_INT_MAX),
    "mappedFileSizeConsumeQueue" => mapped_file_size_consume_queue: Whole(20..=JAVA_INT_MAX),
    "truncateDamagedLog" => truncate_damaged_log: Flag,
    "diskSpaceWarningLevelRatio" => disk_space_warning_level_ratio: Whole(35..=100),
    "messageDelayLevel" => message_delay_level: DelayLevels,
} }

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            namesrv_addr: String::new(),
            broker_cluster_name: "DefaultCluster".to_owned(),
            broker_name: host_name(),
            broker_id: 0,
            broker_ip1: None,
            bind_address: Ipv4Addr::LOCALHOST.into(),
            listen_port: 0,
            server_channel_max_idle_time: Duration::from_secs(120),
            max_connections: 10_000,
            max_held_bytes_per_connection: 16 << 20,
            max_held_bytes: 256 << 20,
            max_frame_bytes: rocketmq_protocol::frame::MAX_FRAME_BYTES,
            broker_permission: 6,
            default_topic_queue_nums: 8,
            auto_create_topic_enable: true,
            auto_create_subscription_group: true,
            cluster_topic_enable: true,
            broker_topic_enable: true,
            region_id: "DefaultRegion".to_owned(),
            trace_on: true,
            long_polling_enable: true,
            short_polling_time_mills: Duration::from_secs(1),
            max_transfer_bytes_on_message_in_memory: 256 * 1024,
            max_transfer_count_on_message_in_memory: 32,
            max_transfer_bytes_on_message_in_disk: 64 * 1024,
            max_transfer_count_on_message_in_disk: 8,
            notify_consumer_ids_changed_enable: true,
            register_name_server_period: Duration::from_secs(30),
            register_broker_timeout_mills: Duration::from_secs(6),
            flush_consumer_offset_interval: Duration::from_secs(5),
            flush_delay_offset_interval: Duration::from_secs(10),
            store_path_root_dir: PathBuf::new(),
            max_message_size: 4 * 1024 * 1024,
            flush_disk_type: FlushDiskType::AsyncFlush,
            flush_interval_commit_log: Duration::from_millis(500),
            flush_commit_log_least_pages: 4,
            flush_commit_log_thorough_interval: Duration::from_secs(10),
            flush_interval_consume_queue: Duration::from_secs(1),
            sync_flush_timeout: Duration::from_secs(5),
            mapped_file_size_commit_log: 1024 * 1024 * 1024,
            mapped_file_size_consume_queue: 6_000_000,
            truncate_damaged_log: false,
            disk_space_warning_level_ratio: 90,
            message_delay_level: DEFAULT_DELAY_LEVELS.to_owned(),
        }
    }
}

impl BrokerConfig {
    /// The configuration that `mqbroker` starts from: every address, port 10911, files in `~/store`, name servers from
    /// the environment's `NAMESRV_ADDR`.
    #[must_use]
    pub fn standalone() -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        Self {
            namesrv_addr: std::env::var("NAMESRV_ADDR").unwrap_or_default(),
            bind_address: Ipv4Addr::UNSPECIFIED.into(),
            listen_port: 10_911,
            store_path_root_dir: home.join("store"),
            ..Self::default()
        }
    }

    /// Where to listen.
    pub(crate) fn listen_addr(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.listen_port)
    }

    /// The name servers, one by one.
    pub(crate) fn namesrv_addrs(&self) -> impl Iterator<Item = &str> {
        self.namesrv_addr.split(';').map(str::trim).filter(|addr| !addr.is_empty())
    }

    /// What clients are told to connect to, for a broker that listens on `bound`. Java: `getBrokerAddr`.
    pub(crate) fn advertised_addr(&self, bound: SocketAddr) -> String {
        self.advertise(bound, bound.port())
    }

    /// What slaves would be told to connect to: the port behind the one that clients use. Java: `getHAServerAddr`.
    pub(crate) fn ha_server_addr(&self, bound: SocketAddr) -> String {
        self.advertise(bound, bound.port().wrapping_add(1))
    }

    fn advertise(&self, bound: SocketAddr, port: u16) -> String {
        match &self.broker_ip1 {
            Some(host) if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
            Some(host) => format!("{host}:{port}"),
            None if bound.ip().is_unspecified() => SocketAddr::new(outward_ip(bound.ip()), port).to_string(),
            None => SocketAddr::new(bound.ip(), port).to_string(),
        }
    }
}

/// The address by which this machine reaches others; loopback if it reaches none. Connecting a datagram socket sends
/// nothing: it only looks up the route.
fn outward_ip(unspecified: IpAddr) -> IpAddr {
    let (any, elsewhere, loopback) = match unspecified {
        IpAddr::V4(_) => ("0.0.0.0:0", "192.0.2.1:9", IpAddr::V4(Ipv4Addr::LOCALHOST)),
        IpAddr::V6(_) => ("[::]:0", "[2001:db8::1]:9", IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)),
    };
    let routed = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(elsewhere)?;
        socket.local_addr()
    });
    routed.map_or(loopback, |addr| addr.ip())
}

/// The host's name, as Java's default for `brokerName`.
fn host_name() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_str().unwrap_or_default();
    if name.is_empty() { "DEFAULT_BROKER".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check;

    fn with_store() -> BrokerConfig {
        BrokerConfig { store_path_root_dir: "/data".into(), ..BrokerConfig::default() }
    }

    #[test]
    fn the_defaults_lack_only_the_store_directory() {
        let error = check(&BrokerConfig::default()).unwrap_err();
        assert_eq!(error.to_string(), "storePathRootDir= is not valid: allowed is the path of a directory");
        check(&with_store()).unwrap();
        check(&BrokerConfig::standalone()).unwrap();
    }

    #[test]
    fn limits_hold_for_configurations_made_in_code_too() {
        let config = BrokerConfig { register_name_server_period: Duration::from_secs(120), ..with_store() };
        assert_eq!(
            check(&config).unwrap_err().to_string(),
            "registerNameServerPeriod=120000 is not valid: allowed is a number of milliseconds from 1 to 60000"
        );
        let config = BrokerConfig { namesrv_addr: "localhost".into(), ..with_store() };
        assert!(check(&config).unwrap_err().to_string().starts_with("namesrvAddr=localhost is not valid"));
    }

    #[test]
    fn the_advertised_address_is_one_that_clients_can_connect_to() {
        let config = with_store();
        let addr = |text: &str| config.advertised_addr(text.parse().unwrap());
        assert_eq!(addr("127.0.0.1:10911"), "127.0.0.1:10911");
        assert_eq!(addr("[::1]:10911"), "[::1]:10911");
        assert!(!addr("0.0.0.0:10911").starts_with("0.0.0.0"), "{}", addr("0.0.0.0:10911"));
        let named = BrokerConfig { broker_ip1: Some("mq.example.org".into()), ..with_store() };
        assert_eq!(named.advertised_addr("0.0.0.0:7".parse().unwrap()), "mq.example.org:7");
        assert_eq!(named.ha_server_addr("0.0.0.0:7".parse().unwrap()), "mq.example.org:8");
    }

    #[test]
    fn name_servers_are_taken_apart() {
        let config = BrokerConfig { namesrv_addr: "a:1; b:2;".into(), ..with_store() };
        assert_eq!(config.namesrv_addrs().collect::<Vec<_>>(), ["a:1", "b:2"]);
    }
}
