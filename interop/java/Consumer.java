import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The quickstart consumer: {@code Consumer COUNT TIMEOUT_S [TOPIC [TAG_EXPRESSION]]}, by default all tags of TopicTest.
 *
 * <p>Prints a line a call of the listener, and {@code RECEIVED n} once COUNT different messages (told apart by their keys,
 * or where they have none, by their bodies) have come; then exits 0. After TIMEOUT_S seconds without them it exits 1.
 */
public final class Consumer {
    private Consumer() {
    }

    public static void main(String[] args) throws Exception {
        if (args.length < 2) {
            System.err.println("Usage: Consumer COUNT TIMEOUT_S [TOPIC [TAG_EXPRESSION]]");
            System.exit(2);
        }
        int count = Integer.parseInt(args[0]);
        long timeoutSeconds = Long.parseLong(args[1]);
        String topic = args.length > 2 ? args[2] : "TopicTest";
        String expression = args.length > 3 ? args[3] : "*";

        Set<String> seen = ConcurrentHashMap.newKeySet();
        CountDownLatch done = new CountDownLatch(1);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("please_rename_unique_group_name_4");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, expression);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            System.out.printf("%s Receive New Messages: %s %n", Thread.currentThread().getName(), messages);
            for (MessageExt message : messages) {
                String keys = message.getKeys();
                seen.add(keys != null ? keys : new String(message.getBody(), StandardCharsets.UTF_8));
            }
            if (seen.size() >= count) {
                done.countDown();
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        System.out.printf("Consumer Started.%n");

        boolean complete = done.await(timeoutSeconds, TimeUnit.SECONDS);
        consumer.shutdown();
        System.out.printf("RECEIVED %d%n", seen.size());
        System.exit(complete ? 0 : 1);
    }
}
