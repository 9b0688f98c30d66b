import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.AllocateMessageQueueStrategy;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragelyByCircle;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueConsistentHash;
import org.apache.rocketmq.client.consumer.store.OffsetSerializeWrapper;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.compression.CompressorFactory;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageBatch;
import org.apache.rocketmq.common.message.MessageClientExt;
import org.apache.rocketmq.common.message.MessageClientIDSetter;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageId;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.protocol.DataVersion;
import org.apache.rocketmq.remoting.protocol.LanguageCode;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.SerializeType;
import org.apache.rocketmq.remoting.protocol.body.ClusterInfo;
import org.apache.rocketmq.remoting.protocol.body.LockBatchRequestBody;
import org.apache.rocketmq.remoting.protocol.body.RegisterBrokerBody;
import org.apache.rocketmq.remoting.protocol.body.ResetOffsetBody;
import org.apache.rocketmq.remoting.protocol.filter.FilterAPI;
import org.apache.rocketmq.remoting.protocol.header.PullMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PullMessageResponseHeader;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeaderV2;
import org.apache.rocketmq.remoting.protocol.header.SendMessageResponseHeader;
import org.apache.rocketmq.remoting.protocol.header.namesrv.GetRouteInfoRequestHeader;
import org.apache.rocketmq.remoting.protocol.heartbeat.ConsumeType;
import org.apache.rocketmq.remoting.protocol.heartbeat.ConsumerData;
import org.apache.rocketmq.remoting.protocol.heartbeat.HeartbeatData;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.remoting.protocol.heartbeat.ProducerData;
import org.apache.rocketmq.remoting.protocol.heartbeat.SubscriptionData;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;
import org.apache.rocketmq.remoting.protocol.route.QueueData;
import org.apache.rocketmq.remoting.protocol.route.TopicRouteData;

/**
 * Writes golden vectors made by the classes of the release on the class path: {@code Golden OUTDIR} writes
 * OUTDIR/SUBJECT-VERSION.txt for each subject. The same release writes the same bytes on every run.
 *
 * <p>A line is a name and then {@code key=value} fields, joined by tabs. In text, a backslash is {@code \\}, and control
 * characters, DEL and lone surrogates are {@code \}{@code uXXXX}; in keys {@code =} is {@code \}{@code u003d}. Keys that end in
 * {@code Hex} hold bytes in lower case hexadecimal. A null value leaves its key out.
 */
public final class Golden {
    private static final String UNIQ_KEY = "7F0000010001279A5F8D0000ABCD0001";
    private static final long BORN = 1_700_000_000_123L;
    private static final long STORED = 1_700_000_000_456L;

    private final Path folder;
    private final String version;
    private StringBuilder text;

    private Golden(Path folder, String version) {
        this.folder = folder;
        this.version = version;
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 1) {
            System.err.println("Usage: Golden OUTDIR");
            System.exit(2);
        }
        String version = MQVersion.getVersionDesc(MQVersion.CURRENT_VERSION).substring(1).replace('_', '.');
        Path folder = Files.createDirectories(Paths.get(args[0]));
        Golden golden = new Golden(folder, version);
        golden.commands();
        golden.oddCommands();
        golden.properties();
        golden.batches();
        golden.records();
        golden.ids();
        golden.subscriptions();
        golden.heartbeats();
        golden.routes();
        golden.bodies();
        golden.registrations();
        golden.strings();
        golden.compression();
        golden.allocation();
        System.exit(0);
    }

    // --- (a) command frames ------------------------------------------------------------------------------------------

    private void commands() throws Exception {
        begin("RemotingCommand.fastEncodeHeader and the body, as they go to the socket",
            "frameHex: the whole frame with its length prefix; headerType: JSON or ROCKETMQ; code language version opaque flag remark:",
            "what was encoded; ext.K: ext fields, sorted by name; bodyHex; header: the header's text, where it is JSON.");
        for (SerializeType type : SerializeType.values()) {
            frame("get-route", type, request(105, routeHeader()), null);
            RemotingCommand withBody = request(105, routeHeader());
            frame("get-route-body", type, withBody, utf8("hi"));
            frame("no-header", type, request(206, null), null);
            frame("send-v2-all", type, request(310, sendHeader(true)), utf8("body"));
            frame("send-v2-required", type, request(310, sendHeader(false)), utf8("body"));
            frame("send-v2-empty-body", type, request(310, sendHeader(false)), new byte[0]);
            frame("pull-all", type, request(11, pullHeader(true)), null);
            frame("pull-required", type, request(11, pullHeader(false)), null);
            frame("heartbeat", type, request(34, null), heartbeat(true).encode());
            RemotingCommand oneway = request(15, null);
            oneway.markOnewayRPC();
            oneway.addExtField("consumerGroup", "g");
            oneway.addExtField("topic", "T");
            oneway.addExtField("queueId", "0");
            oneway.addExtField("commitOffset", "9223372036854775807");
            frame("oneway-update-offset", type, oneway, null);
            RemotingCommand strange = request(105, null);
            strange.addExtField("ascii", "plain value");
            strange.addExtField("quotes", "a\"b\\c/d'e");
            strange.addExtField("controls", "\u0001\u0002\b\t\n\f\r\u001f\u007f");
            strange.addExtField("unicode", "中文 é \uD83D\uDE00 \u2028\u2029\u00a0\ufeff");
            strange.addExtField("html", "<a href='x'>&</a>");
            strange.addExtField("键", "key not ascii");
            strange.addExtField("empty", "");
            frame("strange-ext", type, strange, null);
            RemotingCommand nullExt = request(105, null);
            nullExt.addExtField("kept", "v");
            nullExt.addExtField("nothing", null);
            frame("null-ext", type, nullExt, null);
            RemotingCommand emptyExt = request(105, null);
            emptyExt.setExtFields(new HashMap<>());
            frame("empty-ext", type, emptyExt, null);
            RemotingCommand limits = request(32767, null);
            limits.setOpaque(Integer.MIN_VALUE);
            limits.setVersion(32767);
            limits.setLanguage(LanguageCode.OTHER);
            frame("limits", type, limits, null);
            RemotingCommand rust = request(105, null);
            rust.setLanguage(LanguageCode.valueOf((byte) 12) == null ? LanguageCode.OTHER : LanguageCode.valueOf((byte) 12));
            frame("language-12", type, rust, null);
            frame("send-response", type, response(0, null, sendResponse()), null);
            frame("pull-response-found", type, response(0, "FOUND", pullResponse()), record(plainExt()));
            frame("pull-response-not-found", type, response(19, "OFFSET_OVERFLOW_ONE", pullResponse()), null);
            frame("error-response", type, response(1, "No topic route info, \"quoted\"\n\tsee 中文 \uD83D\uDE00", null), null);
            frame("empty-remark-response", type, response(0, "", null), null);
            RemotingCommand onewayResponse = response(0, null, null);
            onewayResponse.markOnewayRPC();
            frame("response-and-oneway", type, onewayResponse, null);
        }
        frame("pop-code", SerializeType.JSON, request(200050, null), null);
        frame("pop-code", SerializeType.ROCKETMQ, request(200050, null), null);
        end("command");
    }

    private void frame(String name, SerializeType type, RemotingCommand command, byte[] body) throws Exception {
        command.setSerializeTypeCurrentRPC(type);
        command.setBody(body);
        ByteBuf out = Unpooled.buffer();
        command.fastEncodeHeader(out);
        if (body != null) {
            out.writeBytes(body);
        }
        byte[] frame = bytes(out);
        Line line = line(name + "-" + type.name().toLowerCase(Locale.ROOT)).hex("frame", frame).text("headerType", type);
        // The fields as the release itself reads them back from the frame (the length prefix is taken off before).
        fields(line, RemotingCommand.decode(ByteBuffer.wrap(frame, 4, frame.length - 4).slice()));
        if (type == SerializeType.JSON) {
            int size = ByteBuffer.wrap(frame).getInt(4) & 0xffffff;
            line.text("header", new String(frame, 8, size, StandardCharsets.UTF_8));
        }
        line.end();
    }

    private static void fields(Line line, RemotingCommand command) {
        line.text("code", command.getCode()).text("language", command.getLanguage()).text("version", command.getVersion())
            .text("opaque", command.getOpaque()).text("flag", command.getFlag()).text("remark", command.getRemark());
        if (command.getExtFields() != null) {
            Map<String, String> sorted = new TreeMap<>(Comparator.nullsFirst(Comparator.naturalOrder()));
            sorted.putAll(command.getExtFields());
            if (sorted.containsKey(null)) {
                line.text("extNullKey", sorted.remove(null));
            }
            if (sorted.containsValue(null)) {
                line.text("extNullValues", sorted.keySet().stream().filter(k -> sorted.get(k) == null).collect(Collectors.joining(",")));
            }
            sorted.forEach((k, v) -> line.text("ext." + k, v));
        }
        line.hex("body", command.getBody());
    }

    private void oddCommands() throws Exception {
        begin("RemotingCommand.decode of frames that no Java writes",
            "frameHex: the whole frame with its length prefix; then the fields as read, as in command-*.txt (no ext.K: none or an",
            "empty map; extNull=true: the map itself is null; extNullKey: the value under a null name; extNullValues: names with a null value),",
            "or error: the class of what was thrown. opaqueMissing=true: the header has none, for which the reader makes one up (here 0).");
        json("key-order", "{\"version\":409,\"opaque\":7,\"language\":\"JAVA\",\"flag\":0,\"extFields\":{\"topic\":\"T\"},\"code\":105}", "hi");
        json("spaces", " { \"code\" : 105 , \"flag\" : 0,\n\"language\":\"JAVA\", \"opaque\":7, \"version\":409 } ", null);
        json("missing-keys", "{\"code\":105}", null);
        json("empty-object", "{}", null);
        json("unknown-key", "{\"code\":105,\"unknown\":{\"a\":[1,2]},\"opaque\":7}", null);
        json("null-values", "{\"code\":105,\"extFields\":null,\"remark\":null,\"opaque\":7}", null);
        json("numbers-as-text", "{\"code\":\"105\",\"flag\":\"0\",\"opaque\":\"7\",\"version\":\"409\"}", null);
        json("ext-not-text", "{\"code\":105,\"extFields\":{\"a\":1,\"b\":true,\"c\":null,\"d\":1.5,\"e\":{\"x\":1}},\"opaque\":7}", null);
        json("unknown-language", "{\"code\":105,\"language\":\"COBOL\",\"opaque\":7}", null);
        json("language-rust", "{\"code\":105,\"language\":\"RUST\",\"opaque\":7}", null);
        json("language-number", "{\"code\":105,\"language\":9,\"opaque\":7}", null);
        json("escapes", "{\"code\":105,\"remark\":\"\\u4e2d\\u6587 \\ud83d\\ude00 \\/ \\b\\f\\n\\r\\t\\\"\\\\\",\"opaque\":7}", null);
        json("single-quotes", "{'code':105,'opaque':7}", null);
        json("bare-keys", "{code:105,opaque:7}", null);
        json("trailing-comma", "{\"code\":105,\"opaque\":7,}", null);
        json("no-json", "hello", null);
        json("cut-json", "{\"code\":105,", null);
        json("empty-header", "", null);
        odd("header-longer-than-frame", frame(0, 100, utf8("{}"), null));
        odd("unknown-type-9", frame(9, 2, utf8("{}"), null));
        ByteBuffer binary = ByteBuffer.allocate(64);
        binary.putShort((short) 105).put((byte) 12).putShort((short) 409).putInt(7).putInt(0).putInt(0).putInt(13);
        binary.putShort((short) 5).put(utf8("topic")).putInt(2).put(utf8("T1"));
        odd("binary-language-12", frame(1, binary.position(), Arrays.copyOf(binary.array(), binary.position()), null));
        binary.put(2, (byte) 99);
        odd("binary-language-99", frame(1, binary.position(), Arrays.copyOf(binary.array(), binary.position()), null));
        binary.put(2, (byte) 0).putInt(17, 11);
        odd("binary-ext-cut-inside-value", frame(1, binary.position(), Arrays.copyOf(binary.array(), binary.position()), null));
        binary.putInt(17, 1 << 20);
        odd("binary-ext-longer-than-frame", frame(1, binary.position(), Arrays.copyOf(binary.array(), binary.position()), null));
        binary.clear();
        binary.putShort((short) 105).put((byte) 0).putShort((short) 409).putInt(7).putInt(0).putInt(0).putInt(29);
        binary.putShort((short) 1).put(utf8("k")).putInt(0).putShort((short) 1).put(utf8("d")).putInt(1).put(utf8("1"));
        binary.putShort((short) 1).put(utf8("d")).putInt(1).put(utf8("2")).putShort((short) 0).putInt(1).put(utf8("v"));
        binary.putInt(17, binary.position() - 21);
        odd("binary-empty-value-twice-empty-key", frame(1, binary.position(), Arrays.copyOf(binary.array(), binary.position()), null));
        end("command-odd");
    }

    private void json(String name, String header, String body) {
        odd(name, frame(0, utf8(header).length, utf8(header), body == null ? null : utf8(body)));
    }

    private void odd(String name, byte[] frame) {
        Line line = line(name).hex("frame", frame);
        try {
            RemotingCommand command = RemotingCommand.decode(ByteBuffer.wrap(frame, 4, frame.length - 4).slice());
            if (frame[4] == 0 && !new String(frame, StandardCharsets.ISO_8859_1).contains("opaque")) {
                line.text("opaqueMissing", true);
                command.setOpaque(0);
            }
            fields(line, command);
            if (command.getExtFields() == null) {
                line.text("extNull", true);
            }
            line.text("headerType", command.getSerializeTypeCurrentRPC());
        } catch (Throwable e) {
            line.text("error", e.getClass().getSimpleName());
        }
        line.end();
    }

    private static byte[] frame(int type, int headerSize, byte[] header, byte[] body) {
        int bodySize = body == null ? 0 : body.length;
        ByteBuffer frame = ByteBuffer.allocate(8 + header.length + bodySize);
        frame.putInt(4 + header.length + bodySize).putInt(type << 24 | headerSize).put(header);
        if (body != null) {
            frame.put(body);
        }
        return frame.array();
    }

    private static RemotingCommand request(int code, CommandCustomHeader header) {
        RemotingCommand command = RemotingCommand.createRequestCommand(code, header);
        command.setOpaque(7);
        command.setVersion(MQVersion.CURRENT_VERSION);
        return command;
    }

    private static RemotingCommand response(int code, String remark, CommandCustomHeader header) throws Exception {
        RemotingCommand command = RemotingCommand.createResponseCommand(code, remark, header == null ? null : header.getClass());
        if (header != null) {
            command.writeCustomHeader(header);
        }
        command.setOpaque(7);
        command.setVersion(MQVersion.CURRENT_VERSION);
        return command;
    }

    private static GetRouteInfoRequestHeader routeHeader() {
        GetRouteInfoRequestHeader header = new GetRouteInfoRequestHeader();
        header.setTopic("T");
        return header;
    }

    private static SendMessageRequestHeaderV2 sendHeader(boolean all) {
        SendMessageRequestHeader header = new SendMessageRequestHeader();
        header.setProducerGroup("please_rename_unique_group_name");
        header.setTopic("TopicTest");
        header.setDefaultTopic("TBW102");
        header.setDefaultTopicQueueNums(4);
        header.setQueueId(3);
        header.setSysFlag(0);
        header.setBornTimestamp(BORN);
        header.setFlag(0);
        if (all) {
            header.setProperties("UNIQ_KEY\u0001" + UNIQ_KEY + "\u0002WAIT\u0001true\u0002TAGS\u0001TagA");
            header.setReconsumeTimes(2);
            header.setUnitMode(false);
            header.setMaxReconsumeTimes(16);
            header.setBatch(true);
            header.setBname("broker-a");
        }
        return SendMessageRequestHeaderV2.createSendMessageRequestHeaderV2(header);
    }

    private static PullMessageRequestHeader pullHeader(boolean all) {
        PullMessageRequestHeader header = new PullMessageRequestHeader();
        header.setConsumerGroup("please_rename_unique_group_name_4");
        header.setTopic("TopicTest");
        header.setQueueId(3);
        header.setQueueOffset(1234567890123L);
        header.setMaxMsgNums(32);
        header.setSysFlag(7);
        header.setCommitOffset(0L);
        header.setSuspendTimeoutMillis(15000L);
        header.setSubVersion(BORN);
        if (all) {
            header.setSubscription("TagA || TagB");
            header.setExpressionType("TAG");
            header.setBname("broker-a");
        }
        return header;
    }

    private static SendMessageResponseHeader sendResponse() {
        SendMessageResponseHeader header = new SendMessageResponseHeader();
        header.setMsgId("7F00000100002A9F0000000000000000");
        header.setQueueId(3);
        header.setQueueOffset(42L);
        header.setTransactionId(UNIQ_KEY);
        return header;
    }

    private static PullMessageResponseHeader pullResponse() {
        PullMessageResponseHeader header = new PullMessageResponseHeader();
        header.setSuggestWhichBrokerId(0L);
        header.setNextBeginOffset(43L);
        header.setMinOffset(0L);
        header.setMaxOffset(43L);
        return header;
    }

    // --- (b) properties ----------------------------------------------------------------------------------------------

    private void properties() throws Exception {
        begin("MessageDecoder.messageProperties2String and string2messageProperties",
            "encode-*: put.N.k and put.N.v, the pairs in the order they were put in a HashMap (a null value has no put.N.v); string, what",
            "the release writes. decode-*: string, what is read; count; got.K, each property read, sorted by name.");
        encodeProperties("encode-none");
        encodeProperties("encode-one", "TAGS", "TagA");
        encodeProperties("encode-usual", "KEYS", "k1", "UNIQ_KEY", UNIQ_KEY, "WAIT", "true", "TAGS", "TagA");
        encodeProperties("encode-empty-value", "a", "", "b", "2");
        encodeProperties("encode-null-value", "a", null, "b", "2");
        encodeProperties("encode-unicode", "键", "值 \uD83D\uDE00", "é", "ü");
        encodeProperties("encode-separators-inside", "a", "x\u0001y", "b", "x\u0002y");
        String[] odd = {
            "one-last-separator", "TAGS\u0001TagA\u0002", "one-no-last-separator", "TAGS\u0001TagA",
            "two", "a\u00011\u0002b\u00012", "two-last", "a\u00011\u0002b\u00012\u0002", "empty", "", "only-separator", "\u0002",
            "empty-value", "a\u0001\u0002b\u00012\u0002", "empty-value-last", "b\u00012\u0002a\u0001", "long-name-empty-value", "abc\u0001\u0002b\u00012",
            "empty-name", "\u0001v\u0002b\u00012", "no-value-separator", "abc\u0002b\u00012\u0002", "no-value-separator-last", "b\u00012\u0002abc",
            "twice", "a\u00011\u0002a\u00012\u0002", "two-value-separators", "a\u00011\u0001x\u0002b\u00012", "double-separator", "a\u00011\u0002\u0002b\u00012",
            "short-entry", "a\u0001\u0002\u0001\u0002b\u00012", "unicode", "键\u0001值 \uD83D\uDE00\u0002", "spaces", " a \u0001 1 \u0002",
        };
        for (int i = 0; i < odd.length; i += 2) {
            Map<String, String> got = MessageDecoder.string2messageProperties(odd[i + 1]);
            Line line = line("decode-" + odd[i]).text("string", odd[i + 1]).text("count", got.size());
            new TreeMap<>(got).forEach((k, v) -> line.text("got." + k, v));
            line.end();
        }
        end("properties");
    }

    private void encodeProperties(String name, String... pairs) {
        Map<String, String> map = new HashMap<>();
        Line line = line(name);
        for (int i = 0; i < pairs.length; i += 2) {
            map.put(pairs[i], pairs[i + 1]);
            line.text("put." + i / 2 + ".k", pairs[i]).text("put." + i / 2 + ".v", pairs[i + 1]);
        }
        line.text("string", MessageDecoder.messageProperties2String(map)).end();
    }

    // --- (c) batches -------------------------------------------------------------------------------------------------

    private void batches() throws Exception {
        begin("MessageDecoder.encodeMessages and decodeMessages", "hex: the batch body; count; for message N: N.flag, N.bodyHex,",
            "N.properties (text of its map in the order of the map), and N.put.M.k / N.put.M.v as in properties-*.txt.");
        batch("one", batchMessage(0, "x", "KEYS", "k1", "WAIT", "true", "TAGS", "TagA"));
        batch("no-properties", batchMessage(0, "x"));
        batch("three", batchMessage(0, "first", "KEYS", "k1", "TAGS", "TagA"), batchMessage(7, "", "TAGS", "TagB"),
            batchMessage(-1, "third 中文", "a", "1", "b", "2", "c", "3", "d", "4"));
        MessageBatch generated = MessageBatch.generateFromList(Arrays.asList(
            new Message("T", "TagA", "k1", utf8("hello 0")), new Message("T", "TagB", "k2", utf8("hello 1"))));
        line("generate-from-list").hex("", generated.encode()).text("count", 2).text("topic", generated.getTopic())
            .text("batchProperties", MessageDecoder.messageProperties2String(generated.getProperties())).end();
        end("batch");
    }

    private void batch(String name, Message... messages) throws Exception {
        byte[] encoded = MessageDecoder.encodeMessages(Arrays.asList(messages));
        List<Message> decoded = MessageDecoder.decodeMessages(ByteBuffer.wrap(encoded));
        Line line = line(name).hex("", encoded).text("count", decoded.size());
        for (int i = 0; i < decoded.size(); i++) {
            line.text(i + ".flag", decoded.get(i).getFlag()).hex(i + ".body", decoded.get(i).getBody())
                .text(i + ".properties", MessageDecoder.messageProperties2String(messages[i].getProperties()));
        }
        line.end();
    }

    private static Message batchMessage(int flag, String body, String... pairs) {
        Message message = new Message();
        message.setTopic("T");
        message.setFlag(flag);
        message.setBody(utf8(body));
        for (int i = 0; i < pairs.length; i += 2) {
            MessageAccessor.putProperty(message, pairs[i], pairs[i + 1]);
        }
        return message;
    }

    // --- (d) store records -------------------------------------------------------------------------------------------

    private void records() throws Exception {
        begin("MessageDecoder.encode, and clientDecode of the same bytes",
            "recordHex: the record in the log; then every field as read: text, but bodyHex; prop.K: properties sorted by name; toString:",
            "the MessageExt as Java prints it (its properties in HashMap order); msgId: getMsgId, offsetMsgId: getOffsetMsgId.",
            "list-*: hex: many records; count: how many decodes() gives; offsets: their queue offsets.",
            "v2-* (5.x only): the v1 record with the other magic and a topic length of two bytes.");
        MessageExt plain = plainExt();
        byte[] first = record(plain);
        decoded("plain", first);
        MessageExt empty = plainExt();
        empty.setBody(new byte[0]);
        decoded("empty-body", record(empty));
        MessageExt bare = ext("T", utf8("x"));
        bare.setSysFlag(0);
        decoded("no-properties", record(bare));
        MessageExt unicode = ext("主题", utf8("正文 \uD83D\uDE00"));
        put(unicode, "键", "值 \uD83D\uDE00", "TAGS", "标签", "KEYS", "é ü");
        decoded("unicode", record(unicode));
        MessageExt born6 = plainExt();
        born6.setBornHost(new InetSocketAddress(InetAddress.getByName("2001:db8::1"), 54321));
        born6.setSysFlag(MessageSysFlag.BORNHOST_V6_FLAG);
        decoded("born-ipv6", record(born6));
        MessageExt store6 = plainExt();
        store6.setStoreHost(new InetSocketAddress(InetAddress.getByName("fd00::2"), 10911));
        store6.setSysFlag(MessageSysFlag.STOREHOSTADDRESS_V6_FLAG);
        decoded("store-ipv6", record(store6));
        store6.setBornHost(born6.getBornHost());
        store6.setSysFlag(MessageSysFlag.BORNHOST_V6_FLAG | MessageSysFlag.STOREHOSTADDRESS_V6_FLAG);
        byte[] both6 = record(store6);
        decoded("both-ipv6", both6);
        MessageExt half = plainExt();
        half.setSysFlag(MessageSysFlag.TRANSACTION_PREPARED_TYPE);
        half.setPreparedTransactionOffset(9_876_543_210L);
        half.setReconsumeTimes(3);
        half.setFlag(-5);
        put(half, "TRAN_MSG", "true", "PGROUP", "p");
        decoded("prepared", record(half));
        MessageExt zipped = plainExt();
        zipped.setBody(repeated(300));
        zipped.setSysFlag(MessageSysFlag.COMPRESSED_FLAG);
        decoded("zlib-legacy", MessageDecoder.encode(zipped, true));
        for (CompressionType type : CompressionType.values()) {
            zipped.setSysFlag(MessageSysFlag.COMPRESSED_FLAG | type.getCompressionFlag());
            decoded(type.name().toLowerCase(Locale.ROOT), MessageDecoder.encode(zipped, true));
        }
        list("list-three", join(first, both6, first));
        list("list-cut", Arrays.copyOf(join(first, first), first.length + 40));
        byte[] strange = first.clone();
        ByteBuffer.wrap(strange).putInt(4, 0x12345678);
        list("list-unknown-magic-second", join(first, strange, first));
        byte[] blank = ByteBuffer.allocate(64).putInt(64).putInt(-875286124).array();
        list("list-blank-second", join(first, blank, first));
        if (Release.V5) {
            decoded("v2-plain", versionTwo(plain, first));
            decoded("v2-both-ipv6", versionTwo(store6, both6));
        }
        end("record");
    }

    /** The fields that Java's own reader gives for the record. */
    private void decoded(String name, byte[] record) throws Exception {
        MessageExt got = MessageDecoder.clientDecode(ByteBuffer.wrap(record), true);
        Line line = line(name).hex("record", record);
        if (got == null) {
            line.text("error", "null").end();
            return;
        }
        line.text("storeSize", got.getStoreSize()).text("magic", ByteBuffer.wrap(record).getInt(4)).text("bodyCRC", got.getBodyCRC())
            .text("queueId", got.getQueueId()).text("flag", got.getFlag()).text("queueOffset", got.getQueueOffset())
            .text("commitLogOffset", got.getCommitLogOffset()).text("sysFlagStored", ByteBuffer.wrap(record).getInt(36))
            .text("sysFlag", got.getSysFlag()).text("bornTimestamp", got.getBornTimestamp()).text("bornHost", host(got.getBornHost()))
            .text("storeTimestamp", got.getStoreTimestamp()).text("storeHost", host(got.getStoreHost()))
            .text("reconsumeTimes", got.getReconsumeTimes()).text("preparedTransactionOffset", got.getPreparedTransactionOffset())
            .hex("body", got.getBody()).text("topic", got.getTopic());
        if (got.getProperties() != null) {
            new TreeMap<>(got.getProperties()).forEach((k, v) -> line.text("prop." + k, v));
        }
        line.text("msgId", got.getMsgId()).text("offsetMsgId", ((MessageClientExt) got).getOffsetMsgId())
            .text("propertiesText", propertiesText(record)).text("toString", got).end();
    }

    private static String propertiesText(byte[] record) {
        // Properties are what stands last; their length is found by trying, as the text holds no zero byte.
        for (int size = 0; size <= record.length - 2; size++) {
            if (ByteBuffer.wrap(record).getShort(record.length - 2 - size) == size) {
                return new String(record, record.length - size, size, StandardCharsets.UTF_8);
            }
        }
        throw new IllegalArgumentException("no properties");
    }

    private void list(String name, byte[] records) {
        List<MessageExt> got = MessageDecoder.decodes(ByteBuffer.wrap(records));
        line(name).hex("", records).text("count", got.size())
            .text("offsets", got.stream().map(m -> Long.toString(m.getQueueOffset())).collect(Collectors.joining(","))).end();
    }

    private static MessageExt ext(String topic, byte[] body) throws Exception {
        MessageExt message = new MessageExt();
        message.setTopic(topic);
        message.setBody(body);
        message.setBodyCRC(UtilAll.crc32(body));
        message.setQueueId(3);
        message.setQueueOffset(42);
        message.setCommitLogOffset(123_456_789_012L);
        message.setBornTimestamp(BORN);
        message.setBornHost(new InetSocketAddress(InetAddress.getByAddress(new byte[] {10, 0, 0, 1}), 54321));
        message.setStoreTimestamp(STORED);
        message.setStoreHost(new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), 10911));
        return message;
    }

    private static MessageExt plainExt() throws Exception {
        MessageExt message = ext("TopicTest", utf8("Hello RocketMQ 0"));
        put(message, "UNIQ_KEY", UNIQ_KEY, "WAIT", "true", "TAGS", "TagA", "KEYS", "k1 k2");
        return message;
    }

    private static byte[] record(MessageExt message) throws Exception {
        message.setBodyCRC(UtilAll.crc32(message.getBody()));
        return MessageDecoder.encode(message, false);
    }

    private static byte[] versionTwo(MessageExt message, byte[] one) {
        int topic = utf8(message.getTopic()).length;
        int at = one.length - 2 - utf8(propertiesText(one)).length - topic - 1;
        ByteBuffer two = ByteBuffer.allocate(one.length + 1);
        two.put(one, 0, at).putShort((short) topic).put(one, at + 1, one.length - at - 1);
        two.putInt(0, one.length + 1).putInt(4, -626843477);
        return two.array();
    }

    // --- (e) ids -----------------------------------------------------------------------------------------------------

    private void ids() throws Exception {
        begin("MessageDecoder.createMessageId / decodeMessageId, MessageClientIDSetter",
            "offset-*: id, made of host, port and offset, and read back as the same. uniq-*: id; ip and pid as",
            "MessageClientIDSetter reads them from it; ipText; length of an id made here for an IPv4 or IPv6 host is 32 or 56.");
        for (String[] it : new String[][] {{"ipv4", "127.0.0.1", "10911", "0"}, {"ipv4-large", "192.168.100.200", "65535", "9223372036854775807"},
            {"ipv4-zero", "0.0.0.0", "0", "0"}, {"ipv6", "2001:db8::1", "10911", "123456789012"}, {"ipv6-loop", "::1", "1", "1"}}) {
            InetSocketAddress address = new InetSocketAddress(InetAddress.getByName(it[1]), Integer.parseInt(it[2]));
            ByteBuffer host = ByteBuffer.allocate(address.getAddress().getAddress().length + 4);
            host.put(address.getAddress().getAddress()).putInt(address.getPort()).flip();
            String id = MessageDecoder.createMessageId(ByteBuffer.allocate(host.limit() + 8), host, Long.parseLong(it[3]));
            MessageId read = MessageDecoder.decodeMessageId(id);
            line("offset-" + it[0]).text("id", id).text("host", ((InetSocketAddress) read.getAddress()).getAddress().getHostAddress())
                .text("port", ((InetSocketAddress) read.getAddress()).getPort()).text("offset", read.getOffset()).end();
        }
        String lower = "7f00000100002a9f0000000000000064";
        line("offset-lower-case").text("id", lower).text("host", host(MessageDecoder.decodeMessageId(lower).getAddress()))
            .text("offset", MessageDecoder.decodeMessageId(lower).getOffset()).end();
        for (String id : new String[] {UNIQ_KEY, "C0A864C8FFFF14DAD5DC5F8D0000FFFF", "20010DB8000000000000000000000001279A14DAD5DC5F8D0000ABCD"}) {
            line("uniq-" + id.length() + "-" + id.substring(0, 4)).text("id", id).hex("ip", MessageClientIDSetter.getIPFromID(id))
                .text("ipText", MessageClientIDSetter.getIPStrFromID(id)).text("pid", MessageClientIDSetter.getPidFromID(id)).end();
        }
        end("id");
    }

    // --- (f) tags and subscriptions ----------------------------------------------------------------------------------

    private void subscriptions() throws Exception {
        begin("String.hashCode of tags; FilterAPI.buildSubscriptionData(topic, expression)",
            "hash-*: text, hash. sub-*: expression (left out: null); subString; tags and codes, joined by commas in the order of the sets;",
            "json: as the heartbeat has it, with subVersion 1700000000123; toString; or error.");
        String[] tags = {"TagA", "TagB", "a", "", "中文", "标签", "\uD83D\uDE00", "x\uD83D\uDE00y", "\uD840\uDC00", "é", "Aa", "BB",
            "the quick brown fox jumps over the lazy dog", "zzzzzzzzzz"};
        for (int i = 0; i < tags.length; i++) {
            line("hash-" + i).text("text", tags[i]).text("hash", tags[i].hashCode()).end();
        }
        String[] expressions = {"*", null, "", "TagA", "TagA || TagB", "A||B", " A || B ", "A || A", "||", "A ||", "|| A", "A || || B", " ", " * ",
            "A || *", "A | B", "中文 || \uD83D\uDE00", "TagA || TagB || TagC || TagD || TagE"};
        for (int i = 0; i < expressions.length; i++) {
            Line line = line("sub-" + i).text("expression", expressions[i]);
            try {
                describe(line, FilterAPI.buildSubscriptionData("T", expressions[i]));
            } catch (Exception e) {
                line.text("error", e.getClass().getSimpleName()).text("errorText", e.getMessage());
            }
            line.end();
        }
        Line sql = line("sql").text("expression", "a > 1 AND b = 'x'");
        SubscriptionData data = new SubscriptionData();
        data.setTopic("T");
        data.setSubString("a > 1 AND b = 'x'");
        data.setExpressionType("SQL92");
        describe(sql, data);
        sql.end();
        end("subscription");
    }

    private static void describe(Line line, SubscriptionData data) {
        data.setSubVersion(BORN);
        line.text("subString", data.getSubString()).text("tags", String.join(",", data.getTagsSet()))
            .text("codes", data.getCodeSet().stream().map(String::valueOf).collect(Collectors.joining(",")))
            .text("json", RemotingSerializable.toJson(data, false)).text("toString", data);
    }

    // --- (g) heartbeats ----------------------------------------------------------------------------------------------

    private void heartbeats() throws Exception {
        begin("HeartbeatData", "json: the body of request 34; fingerprint (5.x): computeHeartbeatFingerprint; toString.",
            "Java keeps both sets in hash order, which for producers changes from run to run; here they keep a fixed one.");
        describe("full", heartbeat(true));
        describe("producer-only", heartbeat(false));
        HeartbeatData empty = new HeartbeatData();
        empty.setClientID("10.0.0.1@1");
        describe("empty", empty);
        end("heartbeat");
    }

    private void describe(String name, HeartbeatData data) throws Exception {
        String json = new String(data.encode(), StandardCharsets.UTF_8);
        line(name).text("json", json).text("fingerprint", Release.fingerprint(data)).text("toString", data).end();
    }

    private static HeartbeatData heartbeat(boolean consumers) throws Exception {
        HeartbeatData data = new HeartbeatData();
        data.setClientID("10.0.0.1@1234#5678");
        data.setProducerDataSet(new LinkedHashSet<>());
        for (String group : new String[] {"CLIENT_INNER_PRODUCER", "p"}) {
            ProducerData producer = new ProducerData();
            producer.setGroupName(group);
            data.getProducerDataSet().add(producer);
        }
        if (consumers) {
            ConsumerData consumer = new ConsumerData();
            consumer.setGroupName("g");
            consumer.setConsumeType(ConsumeType.CONSUME_PASSIVELY);
            consumer.setMessageModel(MessageModel.CLUSTERING);
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.setUnitMode(false);
            Set<SubscriptionData> subscriptions = new LinkedHashSet<>();
            for (String[] it : new String[][] {{"T", "TagA || TagB"}, {"%RETRY%g", "*"}}) {
                SubscriptionData subscription = FilterAPI.buildSubscriptionData(it[0], it[1]);
                subscription.setSubVersion(BORN);
                subscriptions.add(subscription);
            }
            consumer.setSubscriptionDataSet(subscriptions);
            data.getConsumerDataSet().add(consumer);
        }
        return data;
    }

    // --- (h) routes and bodies ---------------------------------------------------------------------------------------

    private void routes() throws Exception {
        begin("TopicRouteData, ClusterInfo", "made-*: strict: what the name server answers to clients of V4_9_4 and later, plain: what it",
            "answers to older ones (RemotingSerializable.encode), toString. cluster: json. read-*: json, a given text;",
            "toString: what the release reads from it; or error.");
        for (boolean full : new boolean[] {false, true}) {
            TopicRouteData route = route(full);
            line(full ? "made-full" : "made-one").text("strict", new String(Release.strictRoute(route), StandardCharsets.UTF_8))
                .text("plain", new String(RemotingSerializable.encode(route), StandardCharsets.UTF_8)).text("toString", route).end();
        }
        line("made-empty").text("strict", new String(Release.strictRoute(new TopicRouteData()), StandardCharsets.UTF_8))
            .text("plain", new String(RemotingSerializable.encode(new TopicRouteData()), StandardCharsets.UTF_8)).end();
        line("cluster").text("json", new String(cluster().encode(), StandardCharsets.UTF_8)).end();

        String queues = "\"queueDatas\":[{\"brokerName\":\"broker-a\",\"perm\":6,\"readQueueNums\":4,\"topicSysFlag\":0,\"writeQueueNums\":4}]";
        String tail = ",\"brokerName\":\"broker-a\",\"cluster\":\"C\"}],\"filterServerTable\":{}," + queues + "}";
        readRoute("read-bare-keys", "{\"brokerDatas\":[{\"brokerAddrs\":{0:\"10.0.0.1:10911\",1:\"10.0.0.2:10911\"}" + tail);
        readRoute("read-quoted-keys", "{\"brokerDatas\":[{\"brokerAddrs\":{\"0\":\"10.0.0.1:10911\",\"1\":\"10.0.0.2:10911\"}" + tail);
        readRoute("read-large-key", "{\"brokerDatas\":[{\"brokerAddrs\":{4294967296:\"10.0.0.1:10911\"}" + tail);
        readRoute("read-negative-key", "{\"brokerDatas\":[{\"brokerAddrs\":{-1:\"10.0.0.1:10911\"}" + tail);
        readRoute("read-single-quotes", ("{\"brokerDatas\":[{\"brokerAddrs\":{0:\"10.0.0.1:10911\"}" + tail).replace('"', '\''));
        readRoute("read-spaces", "{ \"brokerDatas\" : [ { \"brokerAddrs\" : { 0 : \"10.0.0.1:10911\" }" + tail);
        readRoute("read-unknown-keys", "{\"new\":{\"a\":[1,{\"b\":null}]},\"brokerDatas\":[{\"brokerAddrs\":{\"0\":\"a:1\"},\"x\":1" + tail);
        readRoute("read-empty", "{}");
        end("route");
    }

    private void readRoute(String name, String json) {
        Line line = line(name).text("json", json);
        try {
            line.text("toString", RemotingSerializable.decode(utf8(json), TopicRouteData.class));
        } catch (Exception e) {
            line.text("error", e.getClass().getSimpleName());
        }
        line.end();
    }

    private static TopicRouteData route(boolean full) {
        TopicRouteData route = new TopicRouteData();
        QueueData queue = queueData("broker-a");
        HashMap<Long, String> addresses = new HashMap<>();
        addresses.put(0L, "10.0.0.1:10911");
        route.setQueueDatas(new ArrayList<>(Collections.singletonList(queue)));
        route.setBrokerDatas(new ArrayList<>(Collections.singletonList(new BrokerData("DefaultCluster", "broker-a", addresses))));
        route.setFilterServerTable(new HashMap<>());
        if (full) {
            addresses.put(1L, "10.0.0.2:10911");
            addresses.put(12L, "10.0.0.3:10911");
            HashMap<Long, String> others = new HashMap<>();
            others.put(0L, "[2001:db8::1]:10911");
            route.getQueueDatas().add(queueData("broker-b 中文"));
            route.getBrokerDatas().add(new BrokerData("DefaultCluster", "broker-b 中文", others));
            route.getFilterServerTable().put("10.0.0.1:10911", new ArrayList<>(Arrays.asList("10.0.0.1:1", "10.0.0.1:2")));
            route.setOrderTopicConf("broker-a:4;broker-b:4");
        }
        return route;
    }

    private static QueueData queueData(String broker) {
        QueueData queue = new QueueData();
        queue.setBrokerName(broker);
        queue.setPerm(6);
        queue.setReadQueueNums(4);
        queue.setWriteQueueNums(8);
        return queue;
    }

    private static ClusterInfo cluster() {
        ClusterInfo info = new ClusterInfo();
        HashMap<String, BrokerData> brokers = new HashMap<>();
        route(true).getBrokerDatas().forEach(b -> brokers.put(b.getBrokerName(), b));
        HashMap<String, Set<String>> clusters = new HashMap<>();
        clusters.put("DefaultCluster", new TreeSet<>(brokers.keySet()));
        info.setBrokerAddrTable(brokers);
        info.setClusterAddrTable(clusters);
        return info;
    }

    private void bodies() throws Exception {
        begin("Bodies with queues as map keys or set members", "json: what the release writes. read-*: json, a given text; got: the entries",
            "read from it, sorted (queue=offset, joined by semicolons), or error.");
        MessageQueue[] queues = {new MessageQueue("T", "broker-a", 0), new MessageQueue("T", "broker-a", 1), new MessageQueue("中文", "b", 2)};
        OffsetSerializeWrapper offsets = new OffsetSerializeWrapper();
        ResetOffsetBody reset = new ResetOffsetBody();
        reset.setOffsetTable(new HashMap<>());
        LockBatchRequestBody lock = new LockBatchRequestBody();
        lock.setClientId("10.0.0.1@1");
        lock.setConsumerGroup("g");
        for (int i = 0; i < queues.length; i++) {
            offsets.getOffsetTable().put(queues[i], new AtomicLong(i * 5_000_000_000L));
            reset.getOffsetTable().put(queues[i], i * 5_000_000_000L);
            lock.getMqSet().add(queues[i]);
        }
        line("local-offsets").text("json", offsets.toJson()).end();
        line("local-offsets-pretty").text("json", offsets.toJson(true)).end();
        line("reset-offset").text("json", reset.toJson()).end();
        line("lock-batch").text("json", lock.toJson()).end();
        readOffsets("read-object-key", "{\"offsetTable\":{{\"brokerName\":\"b\",\"queueId\":1,\"topic\":\"T\"}:5}}");
        readOffsets("read-object-key-order", "{\"offsetTable\":{{\"topic\":\"T\",\"queueId\":1,\"brokerName\":\"b\"}:5}}");
        readOffsets("read-object-key-spaces", "{ \"offsetTable\" : { { \"brokerName\" : \"b\", \"queueId\" : 1, \"topic\" : \"T\" } : 5 } }");
        readOffsets("read-text-key", "{\"offsetTable\":{\"{\\\"brokerName\\\":\\\"b\\\",\\\"queueId\\\":1,\\\"topic\\\":\\\"T\\\"}\":5}}");
        readOffsets("read-empty", "{\"offsetTable\":{}}");
        end("body");
    }

    private void readOffsets(String name, String json) {
        Line line = line(name).text("json", json);
        try {
            ResetOffsetBody body = RemotingSerializable.decode(utf8(json), ResetOffsetBody.class);
            Map<String, Long> sorted = new TreeMap<>();
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) body.getOffsetTable()).entrySet()) {
                sorted.put(((MessageQueue) entry.getKey()).toString(), ((Number) entry.getValue()).longValue());
            }
            line.text("got", sorted.entrySet().stream().map(Object::toString).collect(Collectors.joining(";")));
        } catch (Exception e) {
            line.text("error", e.getClass().getSimpleName());
        }
        line.end();
    }

    // --- (i) broker registration -------------------------------------------------------------------------------------

    private void registrations() throws Exception {
        begin("RegisterBrokerBody", "plain: the JSON body; compressedHex: the body with compressed=true; inflatedHex: the same, inflated;",
            "plainCrc32, compressedCrc32: UtilAll.crc32, for bodyCrc32; readTopics, readVersion, readFilters: JSON of the topic table, the",
            "data version and the filter server list as the release reads them back from the compressed body.");
        for (int size : new int[] {0, 1, 3}) {
            RegisterBrokerBody body = new RegisterBrokerBody();
            DataVersion dataVersion = new DataVersion();
            dataVersion.setTimestamp(BORN);
            dataVersion.setCounter(new AtomicLong(5));
            ConcurrentMap<String, TopicConfig> topics = new ConcurrentHashMap<>();
            for (int i = 0; i < size; i++) {
                TopicConfig config = new TopicConfig("Topic" + i, 4 + i, 8, i == 1 ? 4 : 6);
                config.setOrder(i == 2);
                config.setTopicSysFlag(i);
                if (i > 0) {
                    Map<String, String> attributes = new HashMap<>();
                    attributes.put("message.type", "FIFO");
                    Release.attributes(config, attributes);
                }
                topics.put(config.getTopicName(), config);
            }
            body.getTopicConfigSerializeWrapper().setDataVersion(dataVersion);
            body.getTopicConfigSerializeWrapper().setTopicConfigTable(topics);
            if (size == 3) {
                body.setFilterServerList(new ArrayList<>(Arrays.asList("10.0.0.1:1", "10.0.0.1:2")));
            }
            Release.mappingVersion(body, dataVersion);
            byte[] plain = body.encode(false);
            byte[] compressed = body.encode(true);
            RegisterBrokerBody read = Release.decode(compressed);
            line("topics-" + size).text("plain", new String(plain, StandardCharsets.UTF_8)).text("plainCrc32", UtilAll.crc32(plain))
                .hex("compressed", compressed).text("compressedCrc32", UtilAll.crc32(compressed)).hex("inflated", UtilAll.uncompress(compressed))
                .text("readTopics", RemotingSerializable.toJson(read.getTopicConfigSerializeWrapper().getTopicConfigTable(), false))
                .text("readVersion", read.getTopicConfigSerializeWrapper().getDataVersion().toJson())
                .text("readFilters", RemotingSerializable.toJson(read.getFilterServerList(), false)).end();
        }
        TopicConfig config = new TopicConfig("TopicTest", 4, 4, 6);
        line("topic-config").text("encoded", config.encode()).text("toString", config).end();
        end("register-broker");
    }

    // --- (j) toString ------------------------------------------------------------------------------------------------

    private void strings() throws Exception {
        begin("toString, hashCode", "toString; hashCode where it matters; message-N: put.M.k and put.M.v, the properties in the order put;",
            "propertiesString: messageProperties2String of the same map. Records decoded by MessageDecoder: see record-*.txt.");
        MessageQueue queue = new MessageQueue("TopicTest", "broker-a", 3);
        line("message-queue").text("toString", queue).text("hashCode", queue.hashCode()).end();
        line("message-queue-empty").text("toString", new MessageQueue()).text("hashCode", new MessageQueue().hashCode()).end();
        SendResult sent = new SendResult(SendStatus.SEND_OK, UNIQ_KEY, "7F00000100002A9F0000000000000000", queue, 42);
        line("send-result").text("toString", sent).end();
        Release.recallHandle(sent, "handle");
        line("send-result-recall").text("toString", sent).end();
        line("send-result-flush-disk").text("toString", new SendResult(SendStatus.FLUSH_DISK_TIMEOUT, UNIQ_KEY, null, queue, 0)).end();
        line("send-result-empty").text("toString", new SendResult()).end();
        TransactionSendResult transaction = new TransactionSendResult();
        transaction.setSendStatus(SendStatus.SEND_OK);
        transaction.setMsgId(UNIQ_KEY);
        transaction.setMessageQueue(queue);
        transaction.setLocalTransactionState(LocalTransactionState.COMMIT_MESSAGE);
        line("transaction-send-result").text("toString", transaction).end();
        line("pull-result").text("toString", new PullResult(PullStatus.FOUND, 43, 0, 43, Arrays.asList(plainExt()))).end();
        line("pull-result-none").text("toString", new PullResult(PullStatus.NO_NEW_MSG, 43, 0, 43, null)).end();
        line("message-bare").text("toString", new Message("TopicTest", utf8("Hi"))).end();
        line("message-tag-key").text("toString", new Message("TopicTest", "TagA", "k1", utf8("Hi"))).end();
        Message flagged = new Message("TopicTest", "TagA", "k1", 5, new byte[] {-128, 0, 127}, false);
        flagged.setTransactionId(UNIQ_KEY);
        line("message-flag-no-wait").text("toString", flagged).end();
        line("message-null-body").text("toString", new Message()).end();
        line("message-ext-empty").text("toString", new MessageExt()).end();
        line("message-ext").text("toString", plainExt()).end();
        String[] names = {"UNIQ_KEY", "WAIT", "TAGS", "KEYS", "MIN_OFFSET", "MAX_OFFSET", "CLUSTER", "a", "b", "user-property", "中文", "DELAY",
            "MSG_REGION", "TRACE_ON", "RETRY_TOPIC", "REAL_QID"};
        for (int size : new int[] {1, 3, 8, 12, 13, 15, 16}) {
            Message message = new Message();
            message.setTopic("TopicTest");
            Line line = line("message-" + size);
            for (int i = 0; i < size; i++) {
                MessageAccessor.putProperty(message, names[i], "v" + i);
                line.text("put." + i + ".k", names[i]).text("put." + i + ".v", "v" + i);
            }
            line.text("propertiesString", MessageDecoder.messageProperties2String(message.getProperties())).text("toString", message).end();
        }
        // Two names of one hash, and names that meet in a bucket, keep the order they came in; the reader's order can so differ.
        Message meeting = new Message();
        Line line = line("message-collisions");
        String[] meet = {"BB", "Aa", "AaBB", "BBAa", "AaAa", "BBBB", "q", "a1", "b", "r"};
        for (int i = 0; i < meet.length; i++) {
            MessageAccessor.putProperty(meeting, meet[i], "v" + i);
            line.text("put." + i + ".k", meet[i]).text("put." + i + ".v", "v" + i);
        }
        line.text("propertiesString", MessageDecoder.messageProperties2String(meeting.getProperties())).text("toString", meeting).end();
        DataVersion dataVersion = new DataVersion();
        dataVersion.setTimestamp(BORN);
        dataVersion.setCounter(new AtomicLong(5));
        line("data-version").text("toString", dataVersion).text("json", dataVersion.toJson()).end();
        line("queue-data").text("toString", queueData("broker-a")).end();
        line("broker-data").text("toString", route(true).getBrokerDatas().get(0)).end();
        end("to-string");
    }

    // --- (k) compression ---------------------------------------------------------------------------------------------

    private void compression() throws Exception {
        begin("Compressor.compress(plain, level)", "sysFlag: what a message so compressed has (COMPRESSED_FLAG and the compressor's); level;",
            "plainHex; compressedHex. Readers must restore plain from compressed; writers need not make the same bytes.");
        for (CompressionType type : CompressionType.values()) {
            for (int size : new int[] {1, 100, 1500}) {
                byte[] plain = repeated(size);
                byte[] compressed = CompressorFactory.getCompressor(type).compress(plain, 5);
                if (!Arrays.equals(plain, CompressorFactory.getCompressor(type).decompress(compressed))) {
                    throw new IllegalStateException("not restored");
                }
                line(type.name().toLowerCase(Locale.ROOT) + "-" + size).text("type", type.name()).text("level", 5)
                    .text("sysFlag", MessageSysFlag.COMPRESSED_FLAG | type.getCompressionFlag()).hex("plain", plain).hex("compressed", compressed).end();
            }
        }
        byte[] plain = repeated(100);
        line("util-all-zlib").text("type", "ZLIB").text("level", 5).text("sysFlag", 1).hex("plain", plain).hex("compressed", UtilAll.compress(plain, 5)).end();
        end("compression");
    }

    // --- (l) allocation ----------------------------------------------------------------------------------------------

    private void allocation() throws Exception {
        begin("AllocateMessageQueueStrategy.allocate", "strategy: getName; queues: how many, of topic T, alternating over broker-a and broker-b;",
            "consumers: how many, ids c0, c1, ...; cN: what consumer N gets, as brokerName-queueId joined by commas, in the answer's order;",
            "stranger: what an id gets that is not in the list; error: IllegalArgumentException.",
            "Queues and consumers are sorted before the call, as the client does.");
        AllocateMessageQueueStrategy[] strategies = {new AllocateMessageQueueAveragely(), new AllocateMessageQueueAveragelyByCircle(),
            new AllocateMessageQueueConsistentHash()};
        for (AllocateMessageQueueStrategy strategy : strategies) {
            for (int[] size : new int[][] {{1, 1}, {4, 1}, {4, 2}, {4, 3}, {4, 4}, {4, 5}, {4, 8}, {8, 3}, {16, 5}, {17, 4}, {0, 2}, {10, 11}}) {
                List<MessageQueue> queues = new ArrayList<>();
                for (int i = 0; i < size[0]; i++) {
                    queues.add(new MessageQueue("T", i % 2 == 0 ? "broker-a" : "broker-b", i / 2));
                }
                Collections.sort(queues);
                List<String> consumers = new ArrayList<>();
                for (int i = 0; i < size[1]; i++) {
                    consumers.add("c" + i);
                }
                Collections.sort(consumers);
                Line line = line(strategy.getName() + "-" + size[0] + "-" + size[1]).text("strategy", strategy.getName())
                    .text("queues", size[0]).text("consumers", size[1]);
                for (String consumer : consumers) {
                    line.text(consumer, allocated(strategy, consumer, queues, consumers));
                }
                line.text("stranger", allocated(strategy, "stranger", queues, consumers)).end();
            }
        }
        end("allocation");
    }

    private static String allocated(AllocateMessageQueueStrategy strategy, String consumer, List<MessageQueue> queues, List<String> consumers) {
        try {
            return strategy.allocate("g", consumer, queues, consumers).stream()
                .map(q -> q.getBrokerName() + "-" + q.getQueueId()).collect(Collectors.joining(","));
        } catch (IllegalArgumentException e) {
            return "error";
        }
    }

    // --- writing -----------------------------------------------------------------------------------------------------

    private void begin(String about, String... fields) {
        text = new StringBuilder("# RocketMQ " + version + ": " + about + "\n");
        for (String line : fields) {
            text.append("# ").append(line).append('\n');
        }
        text.append("# Line: name<TAB>key=value<TAB>... Text: \\\\ is a backslash, \\uXXXX a UTF-16 unit. Written by interop/java Golden.\n");
    }

    private void end(String subject) throws Exception {
        Path file = folder.resolve(subject + "-" + version + ".txt");
        Files.write(file, text.toString().getBytes(StandardCharsets.UTF_8));
        System.out.printf("%s %d%n", file.getFileName(), Files.size(file));
    }

    private Line line(String name) {
        return new Line(name);
    }

    /** A line under way. */
    private final class Line {
        private Line(String name) {
            text.append(name);
        }

        private Line text(String key, Object value) {
            if (value != null) {
                text.append('\t').append(escape(key).replace("=", "\\u003d")).append('=').append(escape(value.toString()));
            }
            return this;
        }

        private Line hex(String key, byte[] value) {
            String name = key.isEmpty() ? "hex" : key + "Hex";
            return value == null ? this : text(name, Golden.hex(value));
        }

        private void end() {
            text.append('\n');
        }
    }

    private static String escape(String plain) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < plain.length(); i++) {
            char c = plain.charAt(i);
            boolean paired = Character.isHighSurrogate(c) && i + 1 < plain.length() && Character.isLowSurrogate(plain.charAt(i + 1));
            if (paired) {
                out.append(c).append(plain.charAt(++i));
            } else if (c == '\\') {
                out.append("\\\\");
            } else if (Character.isISOControl(c) || Character.isSurrogate(c) || c == '\u2028' || c == '\u2029' || c == '\ufeff') {
                out.append(String.format(Locale.ROOT, "\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.toString();
    }

    // --- helpers -----------------------------------------------------------------------------------------------------

    private static void put(Message message, String... pairs) {
        for (int i = 0; i < pairs.length; i += 2) {
            MessageAccessor.putProperty(message, pairs[i], pairs[i + 1]);
        }
    }

    private static byte[] repeated(int size) {
        byte[] body = new byte[size];
        for (int j = 0; j < size; j++) {
            body[j] = (byte) ('a' + (j + j / 64) % 26);
        }
        return body;
    }

    private static String host(java.net.SocketAddress address) {
        InetSocketAddress inet = (InetSocketAddress) address;
        return inet.getAddress().getHostAddress() + ":" + inet.getPort();
    }

    private static byte[] utf8(String plain) {
        return plain.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] bytes(ByteBuf buffer) {
        byte[] all = new byte[buffer.readableBytes()];
        buffer.readBytes(all);
        return all;
    }

    private static byte[] join(byte[]... parts) {
        ByteBuffer all = ByteBuffer.allocate(Arrays.stream(parts).mapToInt(p -> p.length).sum());
        for (byte[] part : parts) {
            all.put(part);
        }
        return all.array();
    }

    private static String hex(byte[] bytes) {
        StringBuilder out = new StringBuilder();
        for (byte b : bytes) {
            out.append(String.format(Locale.ROOT, "%02x", b));
        }
        return out.toString();
    }
}
