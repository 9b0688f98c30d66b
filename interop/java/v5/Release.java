import com.alibaba.fastjson2.JSONWriter;
import java.io.IOException;
import java.util.Map;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.remoting.protocol.DataVersion;
import org.apache.rocketmq.remoting.protocol.body.RegisterBrokerBody;
import org.apache.rocketmq.remoting.protocol.heartbeat.HeartbeatData;
import org.apache.rocketmq.remoting.protocol.route.TopicRouteData;

/** What differs between the release lines, here for 5.x. */
final class Release {
    static final boolean V5 = true;

    private Release() {
    }

    /** The route as a 5.5.0 name server writes it for clients from V4_9_4 on. */
    static byte[] strictRoute(TopicRouteData route) {
        return route.encode(JSONWriter.Feature.BrowserCompatible, JSONWriter.Feature.MapSortField);
    }

    static RegisterBrokerBody decode(byte[] compressed) throws IOException {
        return RegisterBrokerBody.decode(compressed, true, MQVersion.Version.V5_0_0);
    }

    static void mappingVersion(RegisterBrokerBody body, DataVersion version) {
        body.getTopicConfigSerializeWrapper().setMappingDataVersion(version);
    }

    static void attributes(TopicConfig config, Map<String, String> attributes) {
        config.setAttributes(attributes);
    }

    static void recallHandle(SendResult result, String handle) {
        result.setRecallHandle(handle);
    }

    static String fingerprint(HeartbeatData data) {
        return Integer.toString(data.computeHeartbeatFingerprint());
    }
}
