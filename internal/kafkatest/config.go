//go:build unix

package kafkatest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// clusterID is any 16 bytes in base64url; every node of a cluster has the same.
const clusterID = "MkU3OEVBNTcwNTJENDM2Qg"

// settings are what all nodes share. They follow production where a test's outcome depends on it (three replicas, two in
// sync, no unclean leaders, no topics by accident), and are small and quick elsewhere.
var settings = map[string]string{
	"process.roles":                  "broker,controller",
	"inter.broker.listener.name":     "PLAINTEXT",
	"controller.listener.names":      "CONTROLLER",
	"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",

	"default.replication.factor":                       "3",
	"min.insync.replicas":                              "2",
	"unclean.leader.election.enable":                   "false",
	"auto.create.topics.enable":                        "false",
	"num.partitions":                                   "6",
	"offsets.topic.replication.factor":                 "3",
	"offsets.topic.num.partitions":                     "6",
	"transaction.state.log.replication.factor":         "3",
	"transaction.state.log.min.isr":                    "2",
	"transaction.state.log.num.partitions":             "3",
	"share.coordinator.state.topic.replication.factor": "3",
	"share.coordinator.state.topic.min.isr":            "2",
	"share.coordinator.state.topic.num.partitions":     "3",

	// A dead broker is fenced after 6 s instead of 9 s, so its partitions have new leaders after 6 to 8 s.
	"broker.session.timeout.ms":    "6000",
	"broker.heartbeat.interval.ms": "1000",
	"replica.lag.time.max.ms":      "10000",

	"group.initial.rebalance.delay.ms":  "0",
	"num.network.threads":               "2",
	"num.io.threads":                    "4",
	"num.replica.fetchers":              "1",
	"background.threads":                "4",
	"num.recovery.threads.per.data.dir": "1",
	"log.cleaner.dedupe.buffer.size":    "16777216",
	"log.segment.bytes":                 "67108864",
	"log.retention.hours":               "24",
	"socket.send.buffer.bytes":          "102400",
	"socket.receive.buffer.bytes":       "102400",
}

// jvmOptions favour a quick start in little memory: about 200 MiB a node. With fast the second compiler is on, which is
// slower to start and better for measuring throughput.
func jvmOptions(log4j string, fast bool) []string {
	opts := []string{
		"-Xms192m", "-Xmx384m", "-Xss512k", "-XX:+UseSerialGC", "-XX:MaxDirectMemorySize=96m",
		"-XX:+ExitOnOutOfMemoryError", "-Djava.net.preferIPv4Stack=true",
		"-Dlog4j2.configurationFile=" + log4j, "-Dlog4j2.disable.jmx=true",
	}
	if !fast {
		opts = append(opts, "-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=64m")
	}
	return opts
}

// layOut gives every node its ports and a directory under dir with its configuration. The nodes are not running. With a
// keystore they have a SASL_SSL listener too.
func layOut(dir string, nodes []*node, keystore string, extra map[string]string) error {
	ports, err := freePorts(3 * len(nodes))
	if err != nil {
		return err
	}
	var voters []string
	for i, n := range nodes {
		n.brokerPort, n.controllerPort, n.securePort = ports[3*i], ports[3*i+1], ports[3*i+2]
		n.dir = filepath.Join(dir, "node"+strconv.Itoa(n.id))
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", n.id, n.controllerPort))
	}
	for _, n := range nodes {
		if err := os.MkdirAll(n.dir, 0o755); err != nil {
			return err
		}
		own := map[string]string{}
		if keystore != "" {
			own = secureSettings(n, keystore)
		}
		maps.Copy(own, extra)
		text := serverProperties(n, strings.Join(voters, ","), own)
		if err := os.WriteFile(n.properties(), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// serverProperties is the node's server.properties, sorted by key. With a static list of voters (controller.quorum.voters)
// each node can be formatted by itself.
func serverProperties(n *node, voters string, extra map[string]string) string {
	all := maps.Clone(settings)
	maps.Copy(all, map[string]string{
		"node.id":                  strconv.Itoa(n.id),
		"controller.quorum.voters": voters,
		"listeners":                fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", n.brokerPort, n.controllerPort),
		"advertised.listeners":     fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", n.brokerPort),
		"log.dirs":                 filepath.Join(n.dir, "data"),
	})
	maps.Copy(all, extra)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s=%s\n", key, all[key])
	}
	return b.String()
}
