//go:build e2e

package conformance

import (
	"context"
	"testing"

	"github.com/typostream/typostream/internal/kafkatest"
	"github.com/typostream/typostream/internal/store/storetest"
)

// The same against three real brokers and a real Redis.
func TestRealConformance(t *testing.T) {
	for _, deployment := range deployments {
		t.Run(deployment.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cluster, err := kafkatest.Start(ctx, kafkatest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := cluster.Close(); err != nil {
					t.Error(err)
				}
			})
			for topic, partitions := range map[string]int{rawTopic: rawPartitions(deployment), candidateTopic: 1, crawlTopic: 1, inactiveTopic: 1, letterTopic: 1} {
				if err := cluster.CreateTopic(ctx, topic, partitions, 3, 2); err != nil {
					t.Fatal(err)
				}
			}
			replayAll(t, deployment, cluster.Brokers(), mirror{addr: storetest.StartRedis(t).Addr()})
		})
	}
}
