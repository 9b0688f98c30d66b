import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;

/**
 * The quickstart producer: {@code Producer [TOPIC [COUNT]]}, by default 1000 messages to TopicTest.
 *
 * <p>Message i (from 0) has the tag TagA and the body {@code Hello RocketMQ i}. The name server comes from NAMESRV_ADDR.
 * Ends with the line {@code SENT n}; any failure, or a status other than SEND_OK, ends the process with 1.
 */
public final class Producer {
    private Producer() {
    }

    public static void main(String[] args) {
        String topic = args.length > 0 ? args[0] : "TopicTest";
        int count = args.length > 1 ? Integer.parseInt(args[1]) : 1000;
        DefaultMQProducer producer = new DefaultMQProducer("please_rename_unique_group_name");
        int sent = 0;
        try {
            producer.start();
            while (sent < count) {
                byte[] body = ("Hello RocketMQ " + sent).getBytes(StandardCharsets.UTF_8);
                SendResult result = producer.send(new Message(topic, "TagA", body));
                System.out.printf("%s%n", result);
                if (result.getSendStatus() != SendStatus.SEND_OK) {
                    throw new IllegalStateException("message " + sent + ": " + result.getSendStatus());
                }
                sent++;
            }
        } catch (Exception e) {
            e.printStackTrace();
            System.out.flush();
            // The client's threads are not daemons, and may be mid-way through anything.
            System.exit(1);
        }
        producer.shutdown();
        System.out.printf("SENT %d%n", sent);
        System.exit(0);
    }
}
