//! The numbers that name requests, responses and languages.

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum $name { $($(#[$variant_doc])* $variant = $value,)* }

        impl $name {
            /// The code of that number, if it is one that this release knows.
            #[must_use]
            pub fn from_i32(code: i32) -> Option<Self> {
                match code { $($value => Some(Self::$variant),)* _ => None }
            }

            /// The number on the wire.
            #[must_use]
            pub fn as_i32(self) -> i32 {
                self as i32
            }
        }

        impl From<$name> for i32 {
            fn from(code: $name) -> i32 {
                code.as_i32()
            }
        }
    };
}

codes! {
    /// What a request asks for. Java: `RequestCode`.
    RequestCode {
        /// Send a message, long field names.
        SendMessage = 10,
        /// Pull messages.
        PullMessage = 11,
        /// Ask for a group's committed offset.
        QueryConsumerOffset = 14,
        /// Commit a group's offset.
        UpdateConsumerOffset = 15,
        /// The offset of the first message at or after a moment.
        SearchOffsetByTimestamp = 29,
        /// A queue's end offset.
        GetMaxOffset = 30,
        /// A queue's first offset.
        GetMinOffset = 31,
        /// When a queue's first message was stored.
        GetEarliestMsgStoreTime = 32,
        /// A client says that it lives, and what it produces and consumes.
        HeartBeat = 34,
        /// A client leaves.
        UnregisterClient = 35,
        /// A consumer gives a message back.
        ConsumerSendMsgBack = 36,
        /// A transaction ends.
        EndTransaction = 37,
        /// The members of a consumer group.
        GetConsumerListByGroup = 38,
        /// The broker asks a producer how a transaction went.
        CheckTransactionState = 39,
        /// The broker tells a consumer that its group changed.
        NotifyConsumerIdsChanged = 40,
        /// Lock queues for orderly consumption.
        LockBatchMq = 41,
        /// Unlock queues.
        UnlockBatchMq = 42,
        /// Ask the broker whether it takes a subscription.
        CheckClientConfig = 46,
        /// Puts a value into the name server's table of texts.
        PutKvConfig = 100,
        /// A value of the name server's table of texts.
        GetKvConfig = 101,
        /// Takes a value out of the name server's table of texts.
        DeleteKvConfig = 102,
        /// A broker registers at the name server.
        RegisterBroker = 103,
        /// A broker leaves the name server.
        UnregisterBroker = 104,
        /// A topic's route.
        GetRouteInfoByTopic = 105,
        /// The clusters and their brokers.
        GetBrokerClusterInfo = 106,
        /// All topics that the name server knows.
        GetAllTopicListFromNameserver = 206,
        /// The name server forgets a topic.
        DeleteTopicInNamesrv = 216,
        /// One topic's queues (5.x).
        RegisterTopicInNamesrv = 217,
        /// All values of a namespace in the name server's table of texts.
        GetKvListByNamespace = 219,
        /// Reset a consumer's offsets.
        ResetConsumerClientOffset = 220,
        /// A consumer's offsets.
        GetConsumerStatusFromClient = 221,
        /// What a consumer is doing.
        GetConsumerRunningInfo = 307,
        /// Have a consumer consume one message.
        ConsumeMessageDirectly = 309,
        /// Send a message, short field names.
        SendMessageV2 = 310,
        /// Send a batch, short field names.
        SendBatchMessage = 320,
        /// Ask the name server whether it knows a broker's topics.
        QueryDataVersion = 322,
        /// The broker hands a reply to the requester.
        PushReplyMessageToClient = 326,
        /// The brokers of a group (5.x).
        GetBrokerMemberGroup = 901,
        /// A broker tells the name server that it lives (5.x).
        BrokerHeartbeat = 904,
    }
}

codes! {
    /// How a request went. Java: `ResponseCode`. Numbers whose meaning depends on the release are not here.
    ResponseCode {
        /// Done.
        Success = 0,
        /// An error without a code of its own.
        SystemError = 1,
        /// Too much to do; try again, elsewhere if possible.
        SystemBusy = 2,
        /// The server does not know the request.
        RequestCodeNotSupported = 3,
        /// The transaction failed.
        TransactionFailed = 4,
        /// Stored, but not flushed in time.
        FlushDiskTimeout = 10,
        /// Stored, but there is no slave.
        SlaveNotAvailable = 11,
        /// Stored, but not replicated in time.
        FlushSlaveTimeout = 12,
        /// The message breaks a limit.
        MessageIllegal = 13,
        /// The store takes no messages now.
        ServiceNotAvailable = 14,
        /// The release is not supported.
        VersionNotSupported = 15,
        /// Not allowed.
        NoPermission = 16,
        /// There is no such topic.
        TopicNotExist = 17,
        /// There is such a topic already.
        TopicExistAlready = 18,
        /// Nothing new to pull.
        PullNotFound = 19,
        /// Pull on from the offset in the answer.
        PullRetryImmediately = 20,
        /// The pull's offset is out of range.
        PullOffsetMoved = 21,
        /// What was asked for is not there.
        QueryNotFound = 22,
        /// The subscription cannot be parsed.
        SubscriptionParseFailed = 23,
        /// The group or its subscription is not known.
        SubscriptionNotExist = 24,
        /// The broker's subscription is older than the consumer's.
        SubscriptionNotLatest = 25,
        /// There is no such group.
        SubscriptionGroupNotExist = 26,
        /// The filter is not known.
        FilterDataNotExist = 27,
        /// The filter is older than the consumer's.
        FilterDataNotLatest = 28,
        /// A parameter is wrong (5.3.2 and later).
        InvalidParameter = 29,
        /// No buyer id.
        NoBuyerId = 204,
        /// Not in this unit.
        NotInCurrentUnit = 205,
        /// The consumer is not online.
        ConsumerNotOnline = 206,
        /// Consuming took too long.
        ConsumeMsgTimeout = 207,
        /// No message.
        NoMessage = 208,
        /// Too many pulls (4.9.5 and later).
        FlowControl = 215,
        /// The server is about to stop: connect again (5.3.2 and later).
        GoAway = 1500,
    }
}

codes! {
    /// The language of a peer. Java: `LanguageCode`.
    LanguageCode {
        /// Java.
        Java = 0,
        /// C++.
        Cpp = 1,
        /// .NET.
        Dotnet = 2,
        /// Python.
        Python = 3,
        /// Delphi.
        Delphi = 4,
        /// Erlang.
        Erlang = 5,
        /// Ruby.
        Ruby = 6,
        /// Any other.
        Other = 7,
        /// HTTP.
        Http = 8,
        /// Go.
        Go = 9,
        /// PHP.
        Php = 10,
        /// OpenMessaging.
        Oms = 11,
        /// Rust (4.9.4 and later).
        Rust = 12,
        /// Node.js (5.3.2 and later).
        NodeJs = 13,
    }
}

impl LanguageCode {
    const NAMES: [(Self, &'static str); 14] = [
        (Self::Java, "JAVA"),
        (Self::Cpp, "CPP"),
        (Self::Dotnet, "DOTNET"),
        (Self::Python, "PYTHON"),
        (Self::Delphi, "DELPHI"),
        (Self::Erlang, "ERLANG"),
        (Self::Ruby, "RUBY"),
        (Self::Other, "OTHER"),
        (Self::Http, "HTTP"),
        (Self::Go, "GO"),
        (Self::Php, "PHP"),
        (Self::Oms, "OMS"),
        (Self::Rust, "RUST"),
        (Self::NodeJs, "NODE_JS"),
    ];

    /// Java's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(code, _)| *code == self).map_or("OTHER", |(_, name)| name)
    }

    /// The language of that name; any unknown name is [`Other`](Self::Other).
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self::NAMES.iter().find(|(_, known)| *known == name).map_or(Self::Other, |(code, _)| *code)
    }
}

/// The `MQVersion` ordinal that this release speaks as: V4_9_8, which both server lines answer with strict JSON.
pub const CURRENT_VERSION: i32 = 409;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_its_name() {
        for number in 0..14 {
            let language = LanguageCode::from_i32(number).unwrap();
            assert_eq!(LanguageCode::from_name(language.name()), language);
        }
        assert_eq!(LanguageCode::from_name("COBOL"), LanguageCode::Other);
    }
}
