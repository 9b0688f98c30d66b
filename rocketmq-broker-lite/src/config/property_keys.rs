//! Java's properties that are no setting of ours: which can be passed over, and which would be a lie.

/// What is to be done with a property that is no setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It tunes what this release does in another way or not yet: promises hold without it.
    PassOver,
    /// Only these values can be kept (in lower case); any other is refused for the reason given.
    Only(&'static [&'static str], &'static str),
    /// A value other than this one (in lower case) asks for something that is missing, but nothing breaks without it.
    Missing(&'static str, &'static str),
}

/// What is to be done with a broker's property; `None` for one that is not known.
pub(super) fn broker(key: &str) -> Option<Fate> {
    let fate = match key {
        "brokerRole" => {
            Fate::Only(&["async_master"], "there is no replication yet; only ASYNC_MASTER can be kept")
        }
        "enableDLegerCommitLog" => Fate::Only(&["false"], "DLedger is not supported"),
        "enableControllerMode" => Fate::Only(&["false"], "the controller mode is not supported"),
        "enableSlaveActingMaster" => Fate::Only(&["false"], "there are no slaves yet"),
        "duplicationEnable" => Fate::Only(&["false"], "there is no replication yet"),
        "aclEnable" | "authenticationEnabled" | "authorizationEnabled" => {
            Fate::Only(&["false"], "there is no access control yet: anybody could do anything")
        }
        "useTLS" => Fate::Only(&["false"], "there is no TLS yet: everything would go in the clear"),
        "storeType" => Fate::Only(&["default"], "only the default store is supported"),
        "enableConsumeQueueExt" => Fate::Only(&["false"], "its files are not supported"),
        "enableLmq" | "enableMultiDispatch" => {
            Fate::Only(&["false"], "light message queues are not supported")
        }
        "messageStorePlugIn" => Fate::Only(&[""], "there are no plug-ins"),
        "fetchNamesrvAddrByAddressServer" | "fetchNameSrvAddrByDnsLookup" => {
            Fate::Only(&["false"], "name servers are not looked up; set namesrvAddr")
        }
        "enablePropertyFilter" => {
            Fate::Missing("false", "SQL92 filters are not supported yet: consumers that use them are refused")
        }
        "traceTopicEnable" => Fate::Missing(
            "false",
            "the trace topic is not made at the start; it is made like any other topic",
        ),
        "disableConsumeIfConsumerReadSlowly" => Fate::Missing("false", "slow consumers are not switched off"),
        _ if PASSED_OVER.contains(&key) => Fate::PassOver,
        _ => return None,
    };
    Some(fate)
}

/// What is to be done with a name server's property; `None` for one that is not known.
pub(super) fn namesrv(key: &str) -> Option<Fate> {
    let fate = match key {
        "supportActingMaster" => Fate::Only(&["false"], "slaves do not act as masters"),
        "enableControllerInNamesrv" => Fate::Only(&["false"], "the controller mode is not supported"),
        "clusterTest" => Fate::Only(&["false"], "the cluster test mode is not supported"),
        "orderMessageEnable" => Fate::Only(&["false"], "order topics are not supported yet"),
        "useTLS" => Fate::Only(&["false"], "there is no TLS yet: everything would go in the clear"),
        "rocketmqHome" | "kvConfigPath" | "configStorePath" | "productEnvName" | "configBlackList" => {
            Fate::PassOver
        }
        _ if PASSED_OVER.contains(&key) => Fate::PassOver,
        _ => return None,
    };
    Some(fate)
}

/// Thread pools and buffers of Java, cleaning, indexes, replication and transactions: what does not change an answer
/// that this release gives.
const PASSED_OVER: &[&str] = &[
    "accessMessageInMemoryMaxRatio",
    "adminBrokerThreadPoolNums",
    "brokerFastFailureEnable",
    "brokerIP2",
    "cleanFileForciblyEnable",
    "cleanResourceInterval",
    "clientManageThreadPoolNums",
    "clientManagerThreadPoolQueueCapacity",
    "commitCommitLogLeastPages",
    "commitCommitLogThoroughInterval",
    "commitIntervalCommitLog",
    "compressedRegister",
    "consumerManageThreadPoolNums",
    "consumerManagerThreadPoolQueueCapacity",
    "defaultQueryMaxNum",
    "deleteCommitLogFilesInterval",
    "deleteConsumeQueueFilesInterval",
    "deleteWhen",
    "destroyMapedFileIntervalForcibly",
    "diskMaxUsedSpaceRatio",
    "endTransactionPoolQueueCapacity",
    "endTransactionThreadPoolNums",
    "fastFailIfNoBufferInStorePool",
    "fileReservedTime",
    "flushCommitLogTimed",
    "flushConsumeQueueLeastPages",
    "flushConsumeQueueThoroughInterval",
    "forceRegister",
    "haHousekeepingInterval",
    "haListenPort",
    "haMasterAddress",
    "haSendHeartbeatInterval",
    "haSlaveFallbehindMax",
    "haTransferBatchSize",
    "heartbeatThreadPoolNums",
    "heartbeatThreadPoolQueueCapacity",
    "maxHashSlotNum",
    "maxIndexNum",
    "messageIndexEnable",
    "messageIndexSafe",
    "osPageCacheBusyTimeOutMills",
    "processReplyMessageThreadPoolNums",
    "pullMessageThreadPoolNums",
    "pullThreadPoolQueueCapacity",
    "putMessageFutureThreadPoolNums",
    "putThreadPoolQueueCapacity",
    "queryMessageThreadPoolNums",
    "queryThreadPoolQueueCapacity",
    "rejectTransactionMessage",
    "replyThreadPoolQueueCapacity",
    "rocketmqHome",
    "sendMessageThreadPoolNums",
    "sendThreadPoolQueueCapacity",
    "serverAsyncSemaphoreValue",
    "serverCallbackExecutorThreads",
    "serverOnewaySemaphoreValue",
    "serverPooledByteBufAllocatorEnable",
    "serverSelectorThreads",
    "serverSocketBacklog",
    "serverSocketRcvBufSize",
    "serverSocketSndBufSize",
    "serverWorkerThreads",
    "slaveReadEnable",
    "slaveTimeout",
    "transactionCheckInterval",
    "transactionCheckMax",
    "transactionTimeOut",
    "transferMsgByHeap",
    "transientStorePoolEnable",
    "transientStorePoolSize",
    "useEpollNativeSelector",
    "useReentrantLockWhenPutMessage",
    "waitTimeMillsInHeartbeatQueue",
    "waitTimeMillsInPullQueue",
    "waitTimeMillsInSendQueue",
    "waitTimeMillsInTransactionQueue",
    "warmMapedFileEnable",
];
