import com.alibaba.fastjson.serializer.SerializerFeature;
import java.io.IOException;
import java.util.Map;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.remoting.protocol.DataVersion;
import org.apache.rocketmq.remoting.protocol.body.RegisterBrokerBody;
import org.apache.rocketmq.remoting.protocol.heartbeat.HeartbeatData;
import org.apache.rocketmq.remoting.protocol.route.TopicRouteData;

/** What differs between the release lines, here for 4.x. */
final class Release {
    static final boolean V5 = false;

    private Release() {
    }

    /** The route as a 4.9.8 name server writes it for clients from V4_9_4 on. */
    static byte[] strictRoute(TopicRouteData route) {
        return route.encode(SerializerFeature.BrowserCompatible, SerializerFeature.QuoteFieldNames,
            SerializerFeature.SkipTransientField, SerializerFeature.MapSortField);
    }

    static RegisterBrokerBody decode(byte[] compressed) throws IOException {
        return RegisterBrokerBody.decode(compressed, true);
    }

    static void mappingVersion(RegisterBrokerBody body, DataVersion version) {
        // 4.x has no static topics.
    }

    static void attributes(TopicConfig config, Map<String, String> attributes) {
        // 4.x topics have none.
    }

    static void recallHandle(SendResult result, String handle) {
        // 4.x cannot recall.
    }

    static String fingerprint(HeartbeatData data) {
        return null;
    }
}
