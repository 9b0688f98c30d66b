import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * One subcommand for each way to send and to consume; {@link #USAGE} lists them. The name server comes from NAMESRV_ADDR.
 *
 * <p>Message i (from 0) of any sending subcommand, so that a program in another language can make and check the same:
 * <ul>
 * <li>body, but for send-large: the ASCII text {@code Mixed message i};
 * <li>body of send-large: BYTES bytes, byte j being {@code 97 + (i + j + j / 64) % 26} (lower case letters);
 * <li>tag: TagA, TagB, TagC for i % 3 = 0, 1, 2; key: {@code Key-i};
 * <li>user properties: {@code index} = i, and {@code md5} = the MD5 of the body in lower case hexadecimal;
 * <li>send-ordered only: user property {@code shard} = {@code shard-} followed by i % 10, whose hash selects the queue.
 * </ul>
 * A sender prints {@code SEND i msgId offsetMsgId queueId queueOffset} for each acknowledgement and ends with
 * {@code SENT n}; send-batch prints one SEND line a batch, with the index of its first message. What has no value is "-".
 * Every consuming subcommand checks the body against the property md5 where a message has one.
 * Exit status: 0 all done, 1 something failed or did not come in time, 2 wrong usage.
 */
public final class Mixed {
    private static final String USAGE = String.join(System.lineSeparator(),
        "Usage: Mixed SUBCOMMAND ARGUMENT...",
        "  send-sync TOPIC N                 one at a time",
        "  send-batch TOPIC N                lists of up to 10",
        "  send-async TOPIC N                by callback, all in flight",
        "  send-oneway TOPIC N               without acknowledgement",
        "  send-large TOPIC N BYTES          compressed by the client where BYTES >= 4096 (5.x: the compressor is named by",
        "                                    INTEROP_JAVA_OPTS=-Drocketmq.message.compressType=LZ4, ZSTD or ZLIB)",
        "  send-delay TOPIC N LEVEL          with a delay level",
        "  send-ordered TOPIC N              queue chosen by SelectMessageQueueByHash",
        "  consume TOPIC GROUP N TIMEOUT_S [TAG_EXPRESSION]    prints, for each message of N different (queue, offset) pairs,",
        "                  MSG msgId queueId queueOffset reconsumeTimes tags keys md5-of-body",
        "                                    and RECEIVED n",
        "  consume-orderly TOPIC GROUP N TIMEOUT_S             the same, and fails if a shard's indexes do not rise",
        "  retry TOPIC GROUP N [TIMEOUT_S]   answers RECONSUME_LATER (level 1) once for each message, and waits until N came",
        "                                    again with reconsumeTimes 1; prints MSG lines and RETRIED n");

    private static final int BATCH = 10;
    private static final int SHARDS = 10;

    private final AtomicReference<String> failure = new AtomicReference<>();
    private final CountDownLatch done = new CountDownLatch(1);

    private Mixed() {
    }

    public static void main(String[] args) {
        int status = 1;
        try {
            status = new Mixed().run(args);
        } catch (ArrayIndexOutOfBoundsException | NumberFormatException e) {
            System.err.println(USAGE);
            status = 2;
        } catch (Exception e) {
            e.printStackTrace();
        }
        System.out.flush();
        System.exit(status);
    }

    private int run(String[] args) throws Exception {
        String topic = args[1];
        switch (args[0]) {
            case "consume":
            case "consume-orderly":
                return consume(topic, args[2], Integer.parseInt(args[3]), Long.parseLong(args[4]),
                    args.length > 5 ? args[5] : "*", args[0].equals("consume-orderly"));
            case "retry":
                return retry(topic, args[2], Integer.parseInt(args[3]), args.length > 4 ? Long.parseLong(args[4]) : 120);
            default:
                return send(args[0], topic, Integer.parseInt(args[2]), args);
        }
    }

    // --- sending -----------------------------------------------------------------------------------------------------

    private int send(String how, String topic, int count, String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("interop_mixed_producer");
        producer.setSendMsgTimeout(10_000);
        switch (how) {
            case "send-sync":
            case "send-ordered":
            case "send-oneway":
            case "send-async":
            case "send-batch":
            case "send-large":
            case "send-delay":
                break;
            default:
                throw new NumberFormatException(how);
        }
        int extra = how.equals("send-large") || how.equals("send-delay") ? Integer.parseInt(args[3]) : 0;
        producer.start();
        if (how.equals("send-batch")) {
            sendBatches(producer, topic, count);
        } else if (how.equals("send-async")) {
            sendAsync(producer, topic, count);
        } else {
            for (int i = 0; i < count; i++) {
                sendOne(producer, how, topic, i, extra);
            }
        }
        if (how.equals("send-oneway")) {
            // Nothing tells when the last one has left the socket.
            Thread.sleep(1000);
        }
        producer.shutdown();
        System.out.printf("SENT %d%n", count);
        return 0;
    }

    private static void sendOne(DefaultMQProducer producer, String how, String topic, int index, int extra) throws Exception {
        Message message = message(topic, index, how.equals("send-large") ? largeBody(index, extra) : smallBody(index));
        switch (how) {
            case "send-oneway":
                producer.sendOneway(message);
                return;
            case "send-ordered":
                message.putUserProperty("shard", shard(index));
                report(index, producer.send(message, new SelectMessageQueueByHash(), shard(index)));
                return;
            case "send-delay":
                message.setDelayTimeLevel(extra);
                break;
            default:
                break;
        }
        report(index, producer.send(message));
    }

    private static void sendBatches(DefaultMQProducer producer, String topic, int count) throws Exception {
        for (int first = 0; first < count; first += BATCH) {
            List<Message> batch = new ArrayList<>();
            for (int i = first; i < Math.min(first + BATCH, count); i++) {
                batch.add(message(topic, i, smallBody(i)));
            }
            report(first, producer.send(batch));
        }
    }

    private static void sendAsync(DefaultMQProducer producer, String topic, int count) throws Exception {
        CountDownLatch answers = new CountDownLatch(count);
        AtomicReference<Throwable> failed = new AtomicReference<>();
        for (int i = 0; i < count; i++) {
            int index = i;
            producer.send(message(topic, i, smallBody(i)), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    try {
                        report(index, result);
                    } catch (RuntimeException e) {
                        failed.compareAndSet(null, e);
                    }
                    answers.countDown();
                }

                @Override
                public void onException(Throwable e) {
                    failed.compareAndSet(null, e);
                    answers.countDown();
                }
            });
        }
        if (!answers.await(60, TimeUnit.SECONDS)) {
            throw new IllegalStateException(answers.getCount() + " callbacks missing");
        }
        if (failed.get() != null) {
            throw new IllegalStateException(failed.get());
        }
    }

    private static void report(int index, SendResult result) {
        System.out.printf("SEND %d %s %s %d %d%n", index, orDash(result.getMsgId()), orDash(result.getOffsetMsgId()),
            result.getMessageQueue().getQueueId(), result.getQueueOffset());
        if (result.getSendStatus() != SendStatus.SEND_OK) {
            throw new IllegalStateException("message " + index + ": " + result.getSendStatus());
        }
    }

    private static Message message(String topic, int index, byte[] body) {
        Message message = new Message(topic, "Tag" + "ABC".charAt(index % 3), "Key-" + index, body);
        message.putUserProperty("index", Integer.toString(index));
        message.putUserProperty("md5", md5(body));
        return message;
    }

    private static byte[] smallBody(int index) {
        return ("Mixed message " + index).getBytes(StandardCharsets.US_ASCII);
    }

    private static byte[] largeBody(int index, int size) {
        byte[] body = new byte[size];
        for (int j = 0; j < size; j++) {
            body[j] = (byte) ('a' + (index + j + j / 64) % 26);
        }
        return body;
    }

    private static String shard(int index) {
        return "shard-" + index % SHARDS;
    }

    // --- consuming ---------------------------------------------------------------------------------------------------

    private int consume(String topic, String group, int count, long timeoutSeconds, String expression, boolean orderly)
        throws Exception {
        Set<String> seen = ConcurrentHashMap.newKeySet();
        Map<String, Integer> lastOfShard = new HashMap<>();
        DefaultMQPushConsumer consumer = consumer(topic, group, expression);
        if (orderly) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                for (MessageExt message : messages) {
                    synchronized (lastOfShard) {
                        String shard = message.getUserProperty("shard");
                        int index = Integer.parseInt(message.getUserProperty("index"));
                        Integer last = lastOfShard.put(shard, index);
                        if (last != null && last >= index) {
                            fail("index " + index + " of " + shard + " came after " + last);
                        }
                    }
                    receive(message, seen, count);
                }
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(message -> receive(message, seen, count));
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        consumer.start();
        System.out.printf("Consumer Started.%n");
        return finish(consumer, timeoutSeconds, seen, "RECEIVED");
    }

    private void receive(MessageExt message, Set<String> seen, int count) {
        check(message);
        String place = message.getTopic() + ' ' + message.getBrokerName() + ' ' + message.getQueueId() + ' ' + message.getQueueOffset();
        synchronized (seen) {
            if (seen.size() < count && seen.add(place)) {
                print(message);
            }
            if (seen.size() == count) {
                done.countDown();
            }
        }
    }

    private int retry(String topic, String group, int count, long timeoutSeconds) throws Exception {
        Set<String> refused = ConcurrentHashMap.newKeySet();
        Set<String> again = ConcurrentHashMap.newKeySet();
        DefaultMQPushConsumer consumer = consumer(topic, group, "*");
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            MessageExt message = messages.get(0);
            check(message);
            print(message);
            if (refused.add(message.getMsgId())) {
                context.setDelayLevelWhenNextConsume(1);
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
            if (message.getReconsumeTimes() != 1) {
                fail(message.getMsgId() + " has reconsumeTimes " + message.getReconsumeTimes());
            }
            again.add(message.getMsgId());
            if (again.size() >= count) {
                done.countDown();
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        System.out.printf("Consumer Started.%n");
        return finish(consumer, timeoutSeconds, again, "RETRIED");
    }

    private static DefaultMQPushConsumer consumer(String topic, String group, String expression) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, expression);
        return consumer;
    }

    private int finish(DefaultMQPushConsumer consumer, long timeoutSeconds, Set<String> seen, String word) throws Exception {
        boolean complete = done.await(timeoutSeconds, TimeUnit.SECONDS);
        if (complete && failure.get() == null) {
            // Lets the listeners answer, so that the offset of the last message is stored as well.
            Thread.sleep(200);
        }
        consumer.shutdown();
        System.out.printf("%s %d%n", word, seen.size());
        if (failure.get() != null) {
            System.err.println(failure.get());
            return 1;
        }
        return complete ? 0 : 1;
    }

    private void check(MessageExt message) {
        String expected = message.getUserProperty("md5");
        if (expected != null && !expected.equals(md5(body(message)))) {
            fail(message.getMsgId() + ": the body does not match its md5");
        }
    }

    private void fail(String why) {
        failure.compareAndSet(null, why);
        done.countDown();
    }

    private static void print(MessageExt message) {
        System.out.printf("MSG %s %d %d %d %s %s %s%n", message.getMsgId(), message.getQueueId(), message.getQueueOffset(),
            message.getReconsumeTimes(), orDash(message.getTags()), orDash(message.getKeys()).replace(' ', ','), md5(body(message)));
    }

    private static byte[] body(MessageExt message) {
        return message.getBody() == null ? new byte[0] : message.getBody();
    }

    private static String orDash(String text) {
        return text == null || text.isEmpty() ? "-" : text;
    }

    private static String md5(byte[] bytes) {
        try {
            StringBuilder hex = new StringBuilder();
            for (byte b : MessageDigest.getInstance("MD5").digest(bytes)) {
                hex.append(String.format(Locale.ROOT, "%02x", b));
            }
            return hex.toString();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
